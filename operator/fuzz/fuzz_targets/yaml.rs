//! Any text as a file for `observedapp check`: it is answered, and every line that is named is there.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../cli/src/yaml.rs"]
mod yaml;

fuzz_target!(|text: &str| {
    let last = text.lines().count() + 1;
    for document in yaml::documents(text) {
        let line = match &document {
            Ok(document) => document.line_of("spec.image"),
            Err(error) => error.line,
        };
        assert!(line <= last, "line {line} of {last}");
    }
});
