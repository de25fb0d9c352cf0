//! What a user's own PromQL may do, and how it is made safe: it sees its own namespace, names its
//! metrics, and reads no further back than the app's SLOs do.

use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::token::{T_LIMIT_RATIO, T_LIMITK};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AggregateExpr, Call, Expr, Offset, SubqueryExpr, VectorSelector};

use crate::duration::PromDuration;
use crate::problem::Refusal;
use crate::promql::{self, Selector, check_regex};

/// How far back Prometheus reads for a selector without a range.
const LOOKBACK: PromDuration = PromDuration::from_minutes(5);
/// As many points as Prometheus itself allows a range query.
const MOST_STEPS: u64 = 11_000;
/// What an absent step is taken for: a global evaluation interval of usual shortness.
const DEFAULT_STEP: PromDuration = PromDuration::from_secs(15);

/// As many samples as one expression may read of one series at each evaluation: 90 days, one every 15 s.
const MOST_SAMPLES: u64 = 90 * 24 * 60 * 4;

/// What bounds a user's expression.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// The only namespace that it sees.
    pub namespace: &'a str,
    /// How far back it may read.
    pub longest_window: PromDuration,
    /// How often the series that it reads get a sample.
    pub interval: PromDuration,
}

/// A user's expression, made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sanitised {
    pub expr: String,
    /// How many samples of one series each evaluation reads.
    pub samples: u64,
}

/// Checks a user's expression, puts the namespace on every selector, and prints it from the tree.
pub fn sanitise_user_expr(expr: &str, bounds: Bounds<'_>) -> Result<Sanitised, Refusal> {
    let mut tree = promql::parse(expr)?;
    let mut rules = Rules { bounds, samples: 0 };
    rules.walk(
        &mut tree,
        Enclosing {
            back: PromDuration::from_secs(0),
            steps: 1,
        },
    )?;
    match tree.value_type() {
        ValueType::Vector | ValueType::Scalar => Ok(Sanitised {
            expr: promql::print(&tree),
            samples: rules.samples,
        }),
        other => Err(Refusal::new(
            format!("the expression gives a {other}"),
            "write one that gives an instant vector, such as rate(x[5m]) > 1",
        )),
    }
}

struct Rules<'a> {
    bounds: Bounds<'a>,
    /// How many samples of one series are read so far.
    samples: u64,
}

/// How far back, and at how many points, the subqueries around an expression evaluate it.
#[derive(Clone, Copy)]
struct Enclosing {
    back: PromDuration,
    steps: u64,
}

impl Rules<'_> {
    fn walk(&mut self, expr: &mut Expr, enclosing: Enclosing) -> Result<(), Refusal> {
        match expr {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, enclosing),
            Expr::Unary(unary) => self.walk(&mut unary.expr, enclosing),
            Expr::Binary(binary) => {
                if binary
                    .modifier
                    .as_ref()
                    .is_some_and(|m| m.fill_values.lhs.is_some() || m.fill_values.rhs.is_some())
                {
                    return Err(experimental("the modifier fill"));
                }
                self.walk(&mut binary.lhs, enclosing)?;
                self.walk(&mut binary.rhs, enclosing)
            }
            Expr::Paren(paren) => self.walk(&mut paren.expr, enclosing),
            Expr::Subquery(subquery) => self.subquery(subquery, enclosing),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
            Expr::VectorSelector(selector) => self.selector(selector, None, enclosing),
            Expr::MatrixSelector(matrix) => {
                let range = promql::duration(matrix.range);
                self.selector(&mut matrix.vs, Some(range), enclosing)
            }
            Expr::Call(call) => self.call(call, enclosing),
            Expr::Extension(_) => Err(Refusal::new(
                "an expression of an unknown kind",
                "write plain PromQL",
            )),
        }
    }

    fn aggregate(&mut self, aggregate: &mut AggregateExpr, enclosing: Enclosing) -> Result<(), Refusal> {
        if matches!(aggregate.op.id(), T_LIMITK | T_LIMIT_RATIO) {
            return Err(experimental(&format!("the aggregation {}", aggregate.op)));
        }
        // The parser's own walk forgets the parameter: topk(scalar(other_metric), …).
        if let Some(param) = &mut aggregate.param {
            self.walk(param, enclosing)?;
        }
        self.walk(&mut aggregate.expr, enclosing)
    }

    fn subquery(&mut self, subquery: &mut SubqueryExpr, enclosing: Enclosing) -> Result<(), Refusal> {
        let range = promql::duration(subquery.range);
        let step = subquery.step.map_or(DEFAULT_STEP, promql::duration);
        let steps = enclosing
            .steps
            .saturating_mul(range.millis() / step.millis().max(1) + 1);
        if steps > MOST_STEPS {
            return Err(Refusal::new(
                format!("the subquery [{range}:{step}] is evaluated at {steps} points"),
                format!("use a longer step: at most {MOST_STEPS} points are allowed"),
            ));
        }
        let back = enclosing.back.plus(range).plus(offset(subquery.offset.as_ref())?);
        self.walk(&mut subquery.expr, Enclosing { back, steps })
    }

    /// `range` is none for an instant selector.
    fn selector(
        &mut self,
        selector: &mut VectorSelector,
        range: Option<PromDuration>,
        enclosing: Enclosing,
    ) -> Result<(), Refusal> {
        // Refuses everything but one exact metric name with plain matchers.
        let checked = Selector::from_parsed(selector)?;
        let each = range.map_or(1, |range| {
            range.millis() / self.bounds.interval.millis().max(1) + 1
        });
        self.samples = self.samples.saturating_add(each.saturating_mul(enclosing.steps));
        if self.samples > MOST_SAMPLES {
            return Err(Refusal::new(
                format!(
                    "{} samples of each series are read at every evaluation, one in {}",
                    self.samples, self.bounds.interval
                ),
                format!(
                    "use shorter ranges, or longer steps in subqueries: at most {MOST_SAMPLES} are allowed"
                ),
            ));
        }
        let range = range.unwrap_or(LOOKBACK);
        let back = enclosing.back.plus(range).plus(offset(selector.offset.as_ref())?);
        if back > self.bounds.longest_window.max(LOOKBACK) {
            return Err(Refusal::new(
                format!("{checked} is read {back} back"),
                format!(
                    "read at most {} back, the app's longest SLO window",
                    self.bounds.longest_window
                ),
            ));
        }
        for matcher in selector
            .matchers
            .matchers
            .iter()
            .filter(|m| m.name == "namespace")
        {
            if matcher.op != MatchOp::Equal || matcher.value != self.bounds.namespace {
                return Err(Refusal::new(
                    format!("{checked} selects by another namespace than the app's"),
                    format!(
                        "leave namespace out: namespace={:?} is added to every selector",
                        self.bounds.namespace
                    ),
                ));
            }
        }
        let kept = checked.matchers().iter().filter(|m| m.label != "namespace");
        let mut matchers = vec![
            Matcher::new(MatchOp::Equal, METRIC_NAME, checked.name().as_str()),
            Matcher::new(MatchOp::Equal, "namespace", self.bounds.namespace),
        ];
        let kept: Vec<&str> = kept.map(|m| m.label.as_str()).collect();
        matchers.extend(
            selector
                .matchers
                .matchers
                .iter()
                .filter(|m| kept.contains(&m.name.as_str()))
                .cloned(),
        );
        // A bare name prints before the braces; any other, keywords too, as the matcher that it is.
        if selector.name.is_some() && checked.name().is_bare() {
            matchers.remove(0);
        } else {
            selector.name = None;
        }
        selector.matchers.matchers = matchers;
        Ok(())
    }

    fn call(&mut self, call: &mut Call, enclosing: Enclosing) -> Result<(), Refusal> {
        let function = &call.func;
        if function.experimental {
            return Err(experimental(&format!("the function {}", function.name)));
        }
        // The parser lets exp(Inf) and its like pass; Prometheus does not.
        let wanted = |at: usize| function.arg_types.get(at).or(function.arg_types.last());
        for (at, arg) in call.args.args.iter().enumerate() {
            if wanted(at).is_some_and(|wanted| *wanted != arg.value_type()) {
                return Err(Refusal::new(
                    format!(
                        "{}() takes another type than {} there",
                        function.name,
                        arg.value_type()
                    ),
                    "look its arguments up in https://prometheus.io/docs/prometheus/latest/querying/functions/",
                ));
            }
        }
        if let ("label_replace", Some(Expr::StringLiteral(regex))) =
            (function.name, call.args.args.get(4).map(AsRef::as_ref))
        {
            check_regex(&regex.val)?;
        }
        call.args
            .args
            .iter_mut()
            .try_for_each(|arg| self.walk(arg, enclosing))
    }
}

fn experimental(what: &str) -> Refusal {
    Refusal::new(
        format!("{what} is experimental: a Prometheus without it would refuse every rule"),
        "write it with stable PromQL",
    )
}

fn offset(offset: Option<&Offset>) -> Result<PromDuration, Refusal> {
    match offset {
        None => Ok(PromDuration::from_secs(0)),
        Some(Offset::Pos(back)) => Ok(promql::duration(*back)),
        Some(Offset::Neg(_)) => Err(Refusal::new(
            "a negative offset reads the future",
            "remove it: rules are about now",
        )),
    }
}

#[cfg(test)]
mod tests;
