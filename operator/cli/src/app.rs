//! From a text to the apps in it, with everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use observedapp_api::{AppRef, GROUP, ObservedApp};
use observedapp_desired::{Kind, Observed, Problem, Settings, ValidApp, problem_of, validate};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Severity};
use crate::input::Source;
use crate::object_type::{BEGINNING, KIND, ObjectType, object_type};
use crate::yaml::{self, Document};

/// What the texts hold.
#[derive(Debug, Default)]
pub(crate) struct ReadApps {
    /// The apps without a problem.
    pub apps: Vec<ValidApp>,
    /// How many apps there are, with problems or without.
    pub count: usize,
    /// How many objects of other kinds there are.
    pub others: usize,
    pub diagnostics: Vec<Diagnostic>,
    /// What is wrong with other people's texts, as far as it was noticed: of interest where no app is found.
    doubts: Vec<Diagnostic>,
}

impl ReadApps {
    pub fn has_problems(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Problem)
    }
}

/// What is assumed of a cluster where there is none.
#[derive(Debug)]
pub(crate) struct Preview {
    pub settings: Settings,
    /// The namespace of apps that name none.
    pub namespace: String,
    /// The optional kinds whose APIs are taken to be there.
    pub optional_kinds: BTreeSet<Kind>,
}

/// Reads every app of the sources.
pub(crate) fn read(sources: &[Source], preview: &Preview) -> ReadApps {
    let mut reader = Reader {
        preview,
        names: BTreeSet::new(),
        hosts: BTreeMap::new(),
        apps: ReadApps::default(),
    };
    for source in sources {
        reader.source(source);
    }
    let mut apps = reader.apps;
    if apps.count == 0 && !apps.has_problems() {
        let found_nothing = || Diagnostic {
            file: sources
                .first()
                .map_or_else(String::new, |source| source.name.clone()),
            line: 1,
            field: String::new(),
            problem: match sources.len() {
                0 | 1 => "there is no ObservedApp in it".to_owned(),
                count => format!(
                    "there is no ObservedApp in it, nor in the {} other files",
                    count - 1
                ),
            },
            remedy: BEGINNING.to_owned(),
            severity: Severity::Problem,
        };
        let doubts = std::mem::take(&mut apps.doubts);
        apps.diagnostics.extend(doubts);
        if apps.diagnostics.is_empty() {
            apps.diagnostics.push(found_nothing());
        }
    }
    apps
}

struct Reader<'p> {
    preview: &'p Preview,
    names: BTreeSet<AppRef>,
    /// The hosts of the text's apps so far, with who asks for which path.
    hosts: BTreeMap<String, Vec<(AppRef, String)>>,
    apps: ReadApps,
}

/// A document, or an item of a `List`.
struct Place<'d> {
    file: &'d str,
    document: &'d Document,
    /// The path of the object within the document.
    prefix: String,
}

impl Place<'_> {
    fn diagnostic(&self, severity: Severity, problem: Problem) -> Diagnostic {
        let path = match (self.prefix.as_str(), problem.field.as_str()) {
            (prefix, "") => prefix.to_owned(),
            ("", field) => field.to_owned(),
            (prefix, field) => format!("{prefix}.{field}"),
        };
        Diagnostic {
            file: self.file.to_owned(),
            line: self.document.line_of(&path),
            field: problem.field,
            problem: problem.problem,
            remedy: problem.remedy,
            severity,
        }
    }
}

impl Reader<'_> {
    fn source(&mut self, source: &Source) {
        // Names and hosts are held against those of the same text: two files may be two clusters'.
        self.names.clear();
        self.hosts.clear();
        // Other people's files, such as templates that are no YAML yet, are none of our business.
        let group_version = format!("{GROUP}/v");
        let concerns_us =
            source.text.contains(&group_version) || source.text.contains(&format!("kind: {KIND}"));
        for document in yaml::documents(&source.text) {
            match document {
                Ok(document) => {
                    let place = Place {
                        file: &source.name,
                        document: &document,
                        prefix: String::new(),
                    };
                    self.object(&document.value, &place);
                }
                Err(error) => {
                    let diagnostic = Diagnostic {
                        file: source.name.clone(),
                        line: error.line,
                        field: String::new(),
                        problem: error.problem,
                        remedy: error.remedy,
                        severity: Severity::Problem,
                    };
                    if concerns_us {
                        self.apps.diagnostics.push(diagnostic);
                    } else {
                        self.apps.others += 1;
                        self.apps.doubts.push(diagnostic);
                    }
                }
            }
        }
    }

    fn object(&mut self, value: &Value, place: &Place<'_>) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if let (true, Some(items)) = (
            kind.ends_with("List"),
            value.get("items").and_then(Value::as_array),
        ) {
            for (i, item) in items.iter().enumerate() {
                let place = Place {
                    prefix: format!("items[{i}]"),
                    ..*place
                };
                self.object(item, &place);
            }
            return;
        }
        match object_type(api_version, kind, value) {
            ObjectType::Other => {
                self.apps.others += 1;
                if !value.is_object() {
                    let problem = Problem::new("", "this is no object with fields", BEGINNING);
                    self.apps
                        .doubts
                        .push(place.diagnostic(Severity::Problem, problem));
                }
            }
            ObjectType::Wrong(problem) => {
                self.apps.count += 1;
                self.report(place, [problem]);
            }
            ObjectType::App => {
                self.apps.count += 1;
                self.app(value, place);
            }
        }
    }

    fn report(&mut self, place: &Place<'_>, problems: impl IntoIterator<Item = Problem>) {
        let diagnostics = problems
            .into_iter()
            .map(|problem| place.diagnostic(Severity::Problem, problem));
        self.apps.diagnostics.extend(diagnostics);
    }

    fn app(&mut self, value: &Value, place: &Place<'_>) {
        let before = self.apps.diagnostics.len();
        self.report(place, repeated_keys(place));
        self.report(
            place,
            observedapp_api::unknown_fields(value).into_iter().map(problem_of),
        );
        let mut value = value.clone();
        observedapp_api::fill_in_defaults(&mut value);
        let mut problems: Vec<Problem> = observedapp_api::refusals(&value)
            .into_iter()
            .map(problem_of)
            .collect();
        let typed = serde_json::from_value::<ObservedApp>(value);
        match typed {
            Ok(typed) => self.validate(typed, place, problems, before),
            // The schema reports the same, and better, wherever it can.
            Err(error) if problems.is_empty() => {
                problems.push(Problem::new(
                    "spec",
                    error.to_string(),
                    "correct the field's type",
                ));
                self.report(place, problems);
            }
            Err(_) => self.report(place, problems),
        }
    }

    fn validate(
        &mut self,
        mut typed: ObservedApp,
        place: &Place<'_>,
        mut problems: Vec<Problem>,
        before: usize,
    ) {
        typed
            .metadata
            .namespace
            .get_or_insert_with(|| self.preview.namespace.clone());
        let id = AppRef::from(&typed);
        if !self.names.insert(id.clone()) {
            problems.push(Problem::new(
                "metadata.name",
                format!(
                    "another app is named {} in the namespace {} too",
                    id.name, id.namespace
                ),
                "give each a name of its own",
            ));
        }
        let observed = Observed {
            optional_kinds: self.preview.optional_kinds.clone(),
            // What is made once the app answers belongs to a preview, too.
            has_answered: true,
            ..Observed::default()
        };
        match validate(&typed, observed, self.preview.settings.clone()) {
            Ok(app) => {
                problems.extend(self.host_problem(&app));
                let notes = app
                    .notes
                    .iter()
                    .cloned()
                    .map(|note| place.diagnostic(Severity::Note, note));
                self.apps.diagnostics.extend(notes);
                if problems.is_empty()
                    && self
                        .apps
                        .diagnostics
                        .iter()
                        .skip(before)
                        .all(|f| f.severity == Severity::Note)
                {
                    self.apps.apps.push(app);
                }
            }
            Err(found) => {
                // Admission is a part of validation: what it has reported already is reported once.
                let reported: BTreeSet<String> =
                    problems.iter().map(|problem| problem.field.clone()).collect();
                problems.extend(
                    found
                        .0
                        .into_iter()
                        .filter(|problem| !reported.contains(&problem.field)),
                );
            }
        }
        self.report(place, problems);
    }
}

impl Reader<'_> {
    /// A host belongs to one namespace, and a path of it to one app, whichever object carries it. Which of two apps would
    /// get it, the cluster decides.
    fn host_problem(&mut self, app: &ValidApp) -> Option<Problem> {
        let ingress = app.spec.ingress.iter();
        let gateway = app.spec.gateway.iter();
        let asked = ingress
            .map(|ingress| ("spec.ingress.host", ingress.route()))
            .chain(
                gateway.flat_map(|gateway| gateway.routes().map(|route| ("spec.gateway.hostnames", route))),
            );
        let mut problem = None;
        for (field, route) in asked {
            let asking = self.hosts.entry(route.host.clone()).or_default();
            let rival = asking
                .iter()
                .find(|(other, path)| {
                    *other != app.id && (other.namespace != app.id.namespace || *path == route.path)
                })
                .cloned();
            asking.push((app.id.clone(), route.path.clone()));
            problem = problem.or_else(|| {
                let (other, path) = rival?;
                Some(Problem::new(
                    field,
                    format!(
                        "the app {other} asks for {}{path}, and only one of the two gets the host",
                        route.host
                    ),
                    "choose another host; apps of one namespace may share a host by different paths",
                ))
            });
        }
        problem
    }
}

fn repeated_keys(place: &Place<'_>) -> Vec<Problem> {
    let prefix = if place.prefix.is_empty() {
        String::new()
    } else {
        format!("{}.", place.prefix)
    };
    let repeated = place
        .document
        .repeated
        .iter()
        .filter_map(|(path, _)| path.strip_prefix(&prefix));
    repeated
        .map(|path| Problem::new(path, "the field is given twice", "keep one of the two"))
        .collect()
}
