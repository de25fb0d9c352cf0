//! Any text as an alert's expression: the guard must keep from the parser what it would panic on (a panic ends
//! this run, also one that is caught), and what is let through must be printed as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observedapp_slo::PromDuration;
use observedapp_slo::user_promql::{Bounds, sanitise_user_expr};
use observedapp_slo::promql;

fuzz_target!(|text: &str| {
    let Ok(tree) = promql::parse(text) else { return };
    let printed = promql::print(&tree);
    assert_eq!(promql::parse(&printed).as_ref(), Ok(&tree), "{text} became {printed}");
    let bounds = Bounds {
        namespace: "shop",
        longest_window: PromDuration::from_days(30),
        interval: PromDuration::from_secs(15),
    };
    if let Ok(once) = sanitise_user_expr(text, bounds) {
        assert_eq!(sanitise_user_expr(&once.expr, bounds), Ok(once.clone()), "{text}");
    }
});
