//! Go templates in labels and annotations. Prometheus runs them: a broken one keeps a whole rule file
//! from loading, and `query` in one reads any namespace's series. So only plain placeholders pass.

use crate::problem::Refusal;

/// Functions without side effects that make numbers readable.
const FORMATS: [&str; 10] = [
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "title",
    "toUpper",
    "toLower",
    "stripPort",
    "parseDuration",
];

const REMEDY: &str = "use {{ $value }}, {{ $labels.NAME }} and, after |, humanize, humanizePercentage, humanizeDuration or their like";

/// What a template is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Annotation,
    /// A label makes the alert's identity: the value in it would make a new alert at every evaluation.
    Label,
}

/// Refuses a template that Prometheus might refuse, or that reads what it should not.
pub fn check(text: &str, place: Place) -> Result<(), Refusal> {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once("{{") {
        let (action, tail) = tail
            .split_once("}}")
            .ok_or_else(|| Refusal::new(format!("{text:?} opens {{{{ and does not close it"), REMEDY))?;
        check_action(action, place)?;
        rest = tail;
    }
    Ok(())
}

fn check_action(action: &str, place: Place) -> Result<(), Refusal> {
    let refused = |why: &str| Refusal::new(format!("the template {{{{{action}}}}} {why}"), REMEDY);
    if action.contains(['\n', '\r']) {
        return Err(refused("goes over a line's end"));
    }
    let mut stages = action.split('|').map(str::trim);
    let source = stages.next().unwrap_or_default();
    let is_value = matches!(source, "$value" | ".Value");
    let label = source
        .strip_prefix("$labels.")
        .or_else(|| source.strip_prefix(".Labels."));
    if is_value && place == Place::Label {
        return Err(refused(
            "puts the value into a label, which makes a new alert whenever it changes",
        ));
    }
    if !is_value && !label.is_some_and(is_identifier) {
        return Err(refused("is more than a value or a label"));
    }
    match stages.find(|stage| !FORMATS.contains(stage) && !is_printf(stage)) {
        None => Ok(()),
        Some(stage) => Err(refused(&format!("uses {stage:?}"))),
    }
}

fn is_identifier(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// `printf "%.2f"`, with one verb and nothing that could end the string.
fn is_printf(stage: &str) -> bool {
    let Some(format) = stage.strip_prefix("printf").map(str::trim) else {
        return false;
    };
    let Some(format) = format.strip_prefix('"').and_then(|f| f.strip_suffix('"')) else {
        return false;
    };
    let Some(verb) = format.strip_prefix('%') else {
        return false;
    };
    let digits = verb.trim_end_matches(['f', 'g', 'e', 'v', 's']);
    digits.len() + 1 == verb.len()
        && digits.len() <= 4
        && digits.bytes().all(|b| b == b'.' || b.is_ascii_digit())
}

/// Text that Prometheus prints as it is.
pub fn literal(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_placeholders_pass() {
        for text in [
            "",
            "no template",
            "{{ $value }}",
            "{{$labels.pod}} uses {{ $value | humanizePercentage }}",
            "{{ .Labels.pod | toUpper }} {{ .Value | printf \"%.2f\" }}",
            "a } b }} c",
        ] {
            assert_eq!(check(text, Place::Annotation), Ok(()), "{text}");
        }
        assert_eq!(check("{{ $labels.pod }}", Place::Label), Ok(()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "{{ query \"up\" }}",
            "{{ range query \"up\" }}x{{ end }}",
            "{{ $value | query }}",
            "{{",
            "{{ $value",
            "{{ }}",
            "{{ $labels.a-b }}",
            "{{ $labels }}",
            "{{/* c */}}",
            "{{ $value | printf \"%s\" \"x\" }}",
            "{{ $value\n}}",
            "{{ externalURL }}",
            "{{- $value }}",
        ] {
            assert!(check(text, Place::Annotation).is_err(), "{text}");
        }
        assert!(check("{{ $value }}", Place::Label).is_err());
    }
}
