use std::panic::catch_unwind;

use promql_parser::parser::Expr;

use super::guard;
use crate::problem::Refusal;

/// Parses PromQL that came from outside.
pub fn parse(text: &str) -> Result<Expr, Refusal> {
    guard::check(text)?;
    // The guard keeps out every input known to make the parser panic; one that is not known yet must
    // not take down an operator that serves every other app.
    let parsed = catch_unwind(|| promql_parser::parser::parse(text));
    match parsed {
        Ok(Ok(expr)) => Ok(expr),
        Ok(Err(why)) => Err(Refusal::new(
            format!("is not PromQL: {why}"),
            "correct it; promtool explains more",
        )),
        Err(_) => Err(Refusal::new(
            "is not PromQL that can be read safely",
            "write it more simply",
        )),
    }
}
