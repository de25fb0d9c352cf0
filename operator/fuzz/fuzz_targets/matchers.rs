//! Any text as label matchers and as a selector: what is let through must stay within its braces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observedapp_slo::{Matchers, Selector};

fuzz_target!(|text: &str| {
    if let Ok(matchers) = text.parse::<Matchers>() {
        let printed: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        assert_eq!(printed.join(",").parse().as_ref(), Ok(&matchers), "{text}");
    }
    if let Ok(selector) = text.parse::<Selector>() {
        assert_eq!(selector.to_string().parse().as_ref(), Ok(&selector), "{text}");
    }
});
