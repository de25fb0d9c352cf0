//! From a text to the apps in it, with everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use observedapp_api::{GROUP, ObservedApp};
use observedapp_desired::{App, HostHolder, Kind, Observed, Problem, Settings, problem_of, validate};
use serde::Serialize;
use serde_json::Value;

use crate::input::Source;
use crate::yaml::{self, Document};

const API_VERSION: &str = "observedapp.dev/v1alpha1";
const KIND: &str = "ObservedApp";
const BEGINNING: &str = "an app begins with apiVersion: observedapp.dev/v1alpha1 and kind: ObservedApp";

/// Something to tell about a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    pub file: String,
    pub line: usize,
    /// The field, or nothing where it is about the whole document.
    pub field: String,
    pub problem: String,
    pub remedy: String,
    pub severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Nothing is made before it is mended.
    Problem,
    /// Worth knowing.
    Note,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        if self.severity == Severity::Note {
            f.write_str("note: ")?;
        }
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

/// What the texts hold.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    /// The apps without a problem.
    pub apps: Vec<App>,
    /// How many apps there are, with problems or without.
    pub count: usize,
    /// How many objects of other kinds there are.
    pub others: usize,
    pub findings: Vec<Finding>,
    /// What is wrong with other people's texts, as far as it was noticed: of interest where no app is found.
    doubts: Vec<Finding>,
}

impl Apps {
    pub fn has_problems(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Problem)
    }
}

/// How apps are looked at without a cluster.
#[derive(Debug)]
pub(crate) struct Preview {
    pub settings: Settings,
    /// The namespace of apps that name none.
    pub namespace: String,
    /// The optional kinds whose APIs are taken to be there.
    pub optional_kinds: BTreeSet<Kind>,
}

/// Reads every app of the sources.
pub(crate) fn read(sources: &[Source], preview: &Preview) -> Apps {
    let mut reader = Reader {
        preview,
        names: BTreeSet::new(),
        hosts: BTreeMap::new(),
        apps: Apps::default(),
    };
    for source in sources {
        reader.source(source);
    }
    let mut apps = reader.apps;
    if apps.count == 0 && !apps.has_problems() {
        let found_nothing = || Finding {
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
        apps.findings.extend(doubts);
        if apps.findings.is_empty() {
            apps.findings.push(found_nothing());
        }
    }
    apps
}

struct Reader<'p> {
    preview: &'p Preview,
    names: BTreeSet<(String, String)>,
    /// The hosts of the text's apps so far, with who asks for which path.
    hosts: BTreeMap<String, Vec<(HostHolder, String)>>,
    apps: Apps,
}

/// A document, or an item of a `List`.
struct Place<'d> {
    file: &'d str,
    document: &'d Document,
    /// The path of the object within the document.
    prefix: String,
}

impl Place<'_> {
    fn finding(&self, severity: Severity, problem: Problem) -> Finding {
        let path = match (self.prefix.as_str(), problem.field.as_str()) {
            (prefix, "") => prefix.to_owned(),
            ("", field) => field.to_owned(),
            (prefix, field) => format!("{prefix}.{field}"),
        };
        Finding {
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
                    let finding = Finding {
                        file: source.name.clone(),
                        line: error.line,
                        field: String::new(),
                        problem: error.problem,
                        remedy: error.remedy,
                        severity: Severity::Problem,
                    };
                    if concerns_us {
                        self.apps.findings.push(finding);
                    } else {
                        self.apps.others += 1;
                        self.apps.doubts.push(finding);
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
        match wrong_type(api_version, kind, value) {
            Type::Other => {
                self.apps.others += 1;
                if !value.is_object() {
                    let problem = Problem::new("", "this is no object with fields", BEGINNING);
                    self.apps.doubts.push(place.finding(Severity::Problem, problem));
                }
            }
            Type::Wrong(problem) => {
                self.apps.count += 1;
                self.tell(place, [problem]);
            }
            Type::App => {
                self.apps.count += 1;
                self.app(value, place);
            }
        }
    }

    fn tell(&mut self, place: &Place<'_>, problems: impl IntoIterator<Item = Problem>) {
        let findings = problems
            .into_iter()
            .map(|problem| place.finding(Severity::Problem, problem));
        self.apps.findings.extend(findings);
    }

    fn app(&mut self, value: &Value, place: &Place<'_>) {
        let before = self.apps.findings.len();
        self.tell(place, repeated_keys(place));
        self.tell(
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
            // The schema tells the same, and better, wherever it can.
            Err(error) if problems.is_empty() => {
                problems.push(Problem::new(
                    "spec",
                    error.to_string(),
                    "correct the field's type",
                ));
                self.tell(place, problems);
            }
            Err(_) => self.tell(place, problems),
        }
    }

    fn validate(
        &mut self,
        mut typed: ObservedApp,
        place: &Place<'_>,
        mut problems: Vec<Problem>,
        before: usize,
    ) {
        let namespace = typed
            .metadata
            .namespace
            .get_or_insert_with(|| self.preview.namespace.clone())
            .clone();
        let name = typed.metadata.name.clone().unwrap_or_default();
        if !self.names.insert((namespace.clone(), name.clone())) {
            problems.push(Problem::new(
                "metadata.name",
                format!("another app is named {name} in the namespace {namespace} too"),
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
                    .map(|note| place.finding(Severity::Note, note));
                self.apps.findings.extend(notes);
                if problems.is_empty()
                    && self
                        .apps
                        .findings
                        .iter()
                        .skip(before)
                        .all(|f| f.severity == Severity::Note)
                {
                    self.apps.apps.push(app);
                }
            }
            Err(found) => {
                // Admission is a part of validation: what it has told already is told once.
                let told: BTreeSet<String> = problems.iter().map(|problem| problem.field.clone()).collect();
                problems.extend(
                    found
                        .0
                        .into_iter()
                        .filter(|problem| !told.contains(&problem.field)),
                );
            }
        }
        self.tell(place, problems);
    }
}

impl Reader<'_> {
    /// A host belongs to one namespace, and a path of it to one app. Which of two apps would get it, the cluster decides.
    fn host_problem(&mut self, app: &App) -> Option<Problem> {
        let ingress = app.spec.ingress.as_ref()?;
        let asking = self.hosts.entry(ingress.host.clone()).or_default();
        let rival = asking
            .iter()
            .find(|(other, path)| other.namespace != app.namespace || *path == ingress.path)
            .cloned();
        let own = HostHolder {
            namespace: app.namespace.clone(),
            name: app.name.clone(),
        };
        asking.push((own, ingress.path.clone()));
        rival.map(|(other, path)| {
            Problem::new(
                "spec.ingress.host",
                format!(
                    "the app {other} asks for {}{path}, and only one of the two gets the host",
                    ingress.host
                ),
                "choose another host; apps of one namespace may share a host by different paths",
            )
        })
    }
}

enum Type {
    App,
    /// Nearly one of ours.
    Wrong(Problem),
    Other,
}

/// Tells our objects from others', and those that were meant to be ours.
fn wrong_type(api_version: &str, kind: &str, value: &Value) -> Type {
    let group = api_version.split('/').next().unwrap_or_default();
    let is_ours = group == GROUP;
    let is_kind = kind.eq_ignore_ascii_case(KIND);
    match (is_ours, is_kind) {
        _ if api_version == API_VERSION && kind == KIND => Type::App,
        _ if value.is_object()
            && (api_version.is_empty() != kind.is_empty())
            && value.get("spec").is_some() =>
        {
            let missing = if kind.is_empty() { "kind" } else { "apiVersion" };
            Type::Wrong(Problem::new(
                "",
                format!("the object has no {missing}"),
                BEGINNING,
            ))
        }
        (true | false, true) if kind == KIND => Type::Wrong(Problem::new(
            "apiVersion",
            format!("{api_version:?} is no version of {KIND}"),
            format!("write apiVersion: {API_VERSION}"),
        )),
        (true, _) => Type::Wrong(Problem::new(
            "kind",
            format!("{GROUP} has no kind {kind:?}"),
            format!("write kind: {KIND}"),
        )),
        (false, true) => Type::Wrong(Problem::new(
            "kind",
            format!("{kind:?} is not written as the API has it"),
            format!("write kind: {KIND} and apiVersion: {API_VERSION}"),
        )),
        (false, false) if is_nearly(kind, KIND) => Type::Wrong(Problem::new(
            "kind",
            format!("there is no kind {kind:?}: did you mean {KIND}?"),
            format!("write kind: {KIND} and apiVersion: {API_VERSION}"),
        )),
        (false, false) => Type::Other,
    }
}

/// Whether one word is the other but for a slip or two.
fn is_nearly(word: &str, meant: &str) -> bool {
    const SLIPS: usize = 2;
    strsim::damerau_levenshtein(&word.to_lowercase(), &meant.to_lowercase()) <= SLIPS
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
