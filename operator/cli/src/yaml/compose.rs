//! From the parser's events to documents.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{Document, SyntaxError, scalar};

/// Deeper than any Kubernetes object; a document of brackets must not exhaust the stack.
const DEEPEST: usize = 64;
/// More nodes than any object has; a few aliases of aliases could otherwise make billions.
const MOST_NODES: usize = 200_000;

/// Every document of a stream that holds anything; one that cannot be read does not hide those after it.
pub(crate) fn documents(text: &str) -> Vec<Result<Document, SyntaxError>> {
    let mut stream = Stream {
        text,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut documents = Vec::new();
    loop {
        match stream.next_document() {
            Ok(Some(root)) => documents.extend(document(&root).map(Ok)),
            Ok(None) => return documents,
            Err(error) => {
                documents.push(Err(error));
                if !matches!(stream.parser.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
        }
    }
}

struct Stream<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

#[derive(Clone)]
struct Node {
    line: usize,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone)]
struct Entry {
    key: String,
    line: usize,
    value: Node,
}

impl<'t> Stream<'t> {
    fn next_document(&mut self) -> Result<Option<Node>, SyntaxError> {
        loop {
            match self.event()? {
                Some((Event::DocumentStart(..), _)) => {
                    self.anchors.clear();
                    self.nodes = 0;
                    let (event, span) = self.content()?;
                    let root = self.node(event, span, 0)?;
                    return Ok(Some(root));
                }
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next event that is no comment.
    fn event(&mut self) -> Result<Option<(Event<'t>, Span)>, SyntaxError> {
        loop {
            match self.parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(Some(event)),
                Some(Err(error)) => return Err(self.syntax_error(&error)),
            }
        }
    }

    fn content(&mut self) -> Result<(Event<'t>, Span), SyntaxError> {
        self.event()?.ok_or_else(|| SyntaxError {
            line: 1,
            problem: "the document ends too early".to_owned(),
            remedy: "complete it".to_owned(),
        })
    }

    fn syntax_error(&self, error: &ScanError) -> SyntaxError {
        // The parser reports a tab at its line, or at the one before or after.
        let first = error.marker().line().saturating_sub(1).max(1);
        let mut near = self.text.lines().enumerate().skip(first - 1).take(3);
        let indented_by_tab = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
        match near.find(|(_, line)| indented_by_tab(line)) {
            Some((i, _)) => SyntaxError {
                line: i + 1,
                problem: "a tab stands where YAML takes only spaces".to_owned(),
                remedy: "indent with spaces".to_owned(),
            },
            None => SyntaxError {
                line: error.marker().line(),
                problem: format!("this is not YAML: {}", error.info()),
                remedy: "look at the indentation, the quotes and the brackets here and on the line before"
                    .to_owned(),
            },
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let line = span.start.line();
        self.nodes += 1;
        if depth > DEEPEST || self.nodes > MOST_NODES {
            return Err(SyntaxError {
                line,
                problem: "the document is too deep or too large".to_owned(),
                remedy: format!("keep it below {DEEPEST} levels and {MOST_NODES} values"),
            });
        }
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.suffix() != "str");
                let value = if is_plain {
                    scalar::plain(&text)
                } else {
                    Value::String(text.into_owned())
                };
                (Content::Scalar(value), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Content::Sequence(self.sequence(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Content::Mapping(self.mapping(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let mut node = node.unwrap_or(Node {
                    line,
                    content: Content::Scalar(Value::Null),
                });
                self.nodes += size(&node);
                node.line = line;
                return Ok(node);
            }
            _ => (Content::Scalar(Value::Null), 0),
        };
        let node = Node { line, content };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.content()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.content()?;
            if event == Event::MappingEnd {
                break;
            }
            let line = span.start.line();
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = match self.node(event, span, depth + 1)?.content {
                Content::Scalar(Value::String(key)) => key,
                Content::Scalar(key) => key.to_string(),
                Content::Sequence(_) | Content::Mapping(_) => {
                    return Err(SyntaxError {
                        line,
                        problem: "a key is not a word".to_owned(),
                        remedy: "if this is text with braces, such as a template, put it into quotes"
                            .to_owned(),
                    });
                }
            };
            let (event, span) = self.content()?;
            let value = self.node(event, span, depth + 1)?;
            if is_merge {
                merged.push(value);
            } else {
                entries.push(Entry { key, line, value });
            }
        }
        for source in merged {
            merge(&mut entries, source);
        }
        Ok(entries)
    }
}

/// `<<: *defaults`: what is not given already.
fn merge(entries: &mut Vec<Entry>, source: Node) {
    match source.content {
        Content::Mapping(others) => {
            for other in others {
                if !entries.iter().any(|entry| entry.key == other.key) {
                    entries.push(other);
                }
            }
        }
        Content::Sequence(sources) => sources.into_iter().for_each(|source| merge(entries, source)),
        Content::Scalar(_) => {}
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::Sequence(items) => 1 + items.iter().map(size).sum::<usize>(),
        Content::Mapping(entries) => 1 + entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}

fn document(root: &Node) -> Option<Document> {
    if matches!(root.content, Content::Scalar(Value::Null)) {
        return None;
    }
    let mut document = Document {
        value: Value::Null,
        line: root.line,
        lines: BTreeMap::new(),
        repeated: Vec::new(),
    };
    document.value = value(root, "", &mut document);
    Some(document)
}

fn value(node: &Node, path: &str, document: &mut Document) -> Value {
    match &node.content {
        Content::Scalar(value) => value.clone(),
        Content::Sequence(items) => {
            let item = |(i, item): (usize, &Node)| {
                let path = format!("{path}[{i}]");
                document.lines.insert(path.clone(), item.line);
                value(item, &path, document)
            };
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        Content::Mapping(entries) => {
            let mut fields = Map::new();
            for entry in entries {
                let path = if path.is_empty() {
                    entry.key.clone()
                } else {
                    format!("{path}.{}", entry.key)
                };
                document.lines.insert(path.clone(), entry.line);
                let field = value(&entry.value, &path, document);
                if fields.insert(entry.key.clone(), field).is_some() {
                    document.repeated.push((path, entry.line));
                }
            }
            Value::Object(fields)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_know_their_lines() {
        let text = "# comment\na: 1\nb:\n  - c: x\n    d: {e: z}\n---\n\n---\nf: on\n";
        let documents: Vec<_> = documents(text).into_iter().map(Result::unwrap).collect();
        assert_eq!(documents.len(), 2);
        assert_eq!(
            documents[0].value,
            json!({"a": 1, "b": [{"c": "x", "d": {"e": "z"}}]})
        );
        assert_eq!(documents[0].line_of("b[0].d.e"), 5);
        assert_eq!(documents[0].line_of("b[0].d.missing"), 5);
        assert_eq!(documents[0].line_of("b[3].x"), 3);
        assert_eq!(documents[0].line_of("elsewhere"), 2);
        assert_eq!(documents[1].value, json!({"f": true}));
        assert_eq!(documents[1].line_of("f"), 9);
    }

    #[test]
    fn one_that_is_broken_does_not_hide_the_others() {
        let documents = documents("a: [1\n---\nb: 2\n");
        assert!(documents[0].is_err());
        assert_eq!(documents[1].as_ref().unwrap().value, json!({"b": 2}));
    }

    #[test]
    fn tabs_get_a_sentence_of_their_own() {
        for text in ["spec:\n\timage: a\n", "spec:\n  a: 1\n\tb: 2\n"] {
            let error = documents(text).remove(0).unwrap_err();
            assert_eq!(error.remedy, "indent with spaces", "{text:?}: {error:?}");
            assert!(
                text.lines().nth(error.line - 1).unwrap().contains('\t'),
                "{error:?}"
            );
        }
    }

    #[test]
    fn anchors_and_merges_are_those_of_kubectl() {
        let document = documents("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x\n")
            .remove(0)
            .unwrap();
        assert_eq!(
            document.value,
            json!({"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}})
        );
    }

    #[test]
    fn repeated_keys_are_told() {
        let document = documents("a: 1\nb: {c: 1, c: 2}\na: 3\n").remove(0).unwrap();
        assert_eq!(document.repeated, [("b.c".to_owned(), 2), ("a".to_owned(), 3)]);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = "[".repeat(100_000);
        assert!(documents(&deep)[0].is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..20 {
            let alias = format!("*a{}, ", i - 1).repeat(10);
            bomb += &format!("a{i}: &a{i} [{alias}]\n");
        }
        assert!(documents(&bomb)[0].is_err());
    }

    proptest! {
        /// As `operator/fuzz` does for longer.
        #[test]
        fn any_text_is_answered(pieces in proptest::collection::vec(prop_oneof![
            Just("a: "), Just("- "), Just("\n"), Just("  "), Just("\t"), Just("{"), Just("}"), Just("["), Just("]"), Just(","),
            Just("&x "), Just("*x"), Just("<<: "), Just("!!str "), Just("!"), Just("|\n"), Just(">-\n"), Just("---\n"),
            Just("...\n"), Just("%YAML 1.2\n"), Just("#"), Just("? "), Just("'"), Just("\""), Just("\\"), Just("é"), Just("1"),
        ], 0..40)) {
            let text = pieces.concat();
            let last = text.lines().count() + 1;
            for document in documents(&text) {
                let line = match &document {
                    Ok(document) => document.line_of("a.a"),
                    Err(error) => error.line,
                };
                prop_assert!(line <= last, "line {} of {:?}", line, text);
            }
        }
    }
}
