// Our dashboards in Grafana's own types. The test appends each as a constant of type `Ours` and compiles the file:
// a field that Grafana does not know, or one of another type, is an error.
import type { AnnotationQuery, Dashboard, Panel, RowPanel, VariableModel } from "@grafana/schema";
import type {
  FieldConfig as TimeSeriesFieldConfig,
  Options as TimeSeriesOptions,
} from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { Options as StatOptions } from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type { Options as TableOptions } from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as HeatmapFieldConfig,
  Options as HeatmapOptions,
} from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";

/** JSON has no enums: each stands for its values. */
type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Field in keyof T]: Plain<T[Field]> }
        : T;

/** What Grafana fills in itself may be left out, at every depth. */
type Lenient<T> = T extends (infer Item)[]
  ? Lenient<Item>[]
  : T extends object
    ? { [Field in keyof T]?: Lenient<T[Field]> }
    : T;

/** The Prometheus data source's query, which its plugin publishes apart from the schema. */
interface Target {
  refId: string;
  datasource: { type: "prometheus"; uid: string };
  expr: string;
  legendFormat: string;
  format: "time_series" | "heatmap" | "table";
  instant: boolean;
  range: boolean;
  interval?: string;
}

type Chart<Type extends string, Options, Custom> = Omit<Plain<Panel>, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  title: string;
  options: Lenient<Plain<Options>>;
  targets: Target[];
  fieldConfig: {
    defaults: Omit<Plain<Panel["fieldConfig"] & {}>["defaults"], "custom"> & { custom: Lenient<Plain<Custom>> };
    overrides: (Plain<Panel["fieldConfig"] & {}>["overrides"][number])[];
  };
};

type Charts =
  | Chart<"timeseries", TimeSeriesOptions, TimeSeriesFieldConfig>
  | Chart<"stat", StatOptions, Record<string, never>>
  | Chart<"heatmap", HeatmapOptions, HeatmapFieldConfig>
  | Chart<"table", TableOptions, Record<string, never>>;

/** The fields of a Prometheus annotation, which its plugin adds to Grafana's. */
type PrometheusAnnotation = Plain<AnnotationQuery> & {
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
};

type Ours = Omit<Plain<Dashboard>, "panels" | "annotations" | "templating"> & {
  panels: (Plain<RowPanel> | Charts)[];
  annotations: { list: PrometheusAnnotation[] };
  templating: { list: Plain<VariableModel>[] };
};
