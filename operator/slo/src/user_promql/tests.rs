use super::*;
use proptest::prelude::*;

fn within(expr: &str, longest_window: PromDuration) -> Result<Sanitised, Refusal> {
    let bounds = Bounds {
        namespace: "shop",
        longest_window,
        interval: PromDuration::from_secs(15),
    };
    sanitise_user_expr(expr, bounds)
}

fn sanitised(expr: &str) -> Result<String, Refusal> {
    within(expr, PromDuration::from_days(30)).map(|sanitised| sanitised.expr)
}

#[test]
fn the_samples_that_are_read_are_counted_and_bounded() {
    let read = |expr: &str| within(expr, PromDuration::from_days(90)).map(|s| s.samples);
    for (expr, samples) in [
        ("x", 1),
        ("rate(x[5m])", 21),
        ("rate(x[5m]) > on () y", 22),
        ("max_over_time(rate(x[5m])[1h:1m])", 61 * 21),
        ("topk(scalar(sum_over_time(n[1m])), x)", 6),
    ] {
        assert_eq!(read(expr), Ok(samples), "{expr}");
    }
    assert!(read("sum_over_time(x[89d])").is_ok());
    for expr in [
        "max_over_time(sum_over_time(x[89d])[3h:1s])",
        "max_over_time(sum_over_time(x[80d])[5m:1m])",
        "sum_over_time(x[80d]) + sum_over_time(x[80d])",
    ] {
        let refusal = read(expr).expect_err(expr);
        assert!(refusal.problem.contains("samples"), "{expr}: {refusal}");
    }
}

#[test]
fn every_selector_gets_the_namespace() {
    for (expr, printed) in [
        ("up == 0", r#"up{namespace="shop"} == 0"#),
        (
            r#"up{namespace="shop",job="a"} == 0"#,
            r#"up{namespace="shop",job="a"} == 0"#,
        ),
        (
            "sum by (pod) (rate(x_total{a!=\"b\"}[5m] offset 1h)) > 0.5",
            r#"sum by (pod) (rate(x_total{namespace="shop",a!="b"}[5m] offset 1h)) > 0.5"#,
        ),
        (
            "a * on() group_left(x) b",
            r#"a{namespace="shop"} * on () group_left (x) b{namespace="shop"}"#,
        ),
        (
            "a * ignoring() group_left b",
            r#"a{namespace="shop"} * ignoring () group_left () b{namespace="shop"}"#,
        ),
        (
            "topk(scalar(n), x)",
            r#"topk(scalar(n{namespace="shop"}), x{namespace="shop"})"#,
        ),
        (
            "max_over_time(rate(x[5m])[1h:1m]) > bool 1",
            r#"max_over_time(rate(x{namespace="shop"}[5m])[1h:1m]) > bool 1"#,
        ),
        (
            r#"{"my.metric","my.label"="x"} > 1"#,
            r#"{__name__="my.metric",namespace="shop","my.label"="x"} > 1"#,
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m]))) > 1",
            r#"histogram_quantile(0.9, sum by (le) (rate(x_bucket{namespace="shop"}[5m]))) > 1"#,
        ),
        (
            "absent(x) or vector(1)",
            r#"absent(x{namespace="shop"}) or vector(1)"#,
        ),
        (
            "-x ^ 2 ^ -1 < -(y - 1 - 2)",
            r#"-x{namespace="shop"} ^ 2 ^ -1 < -(y{namespace="shop"} - 1 - 2)"#,
        ),
        (
            "x unless on (pod) y",
            r#"x{namespace="shop"} unless on (pod) y{namespace="shop"}"#,
        ),
        (
            "count_values without (a) (\"v\\\"\", x) > 0",
            r#"count_values without (a) ("v\"", x{namespace="shop"}) > 0"#,
        ),
        (r#"x{a='b"c'} > 0"#, r#"x{namespace="shop",a="b\"c"} > 0"#),
    ] {
        assert_eq!(sanitised(expr).as_deref(), Ok(printed), "{expr}");
    }
}

#[test]
fn refuses_what_reaches_further() {
    for expr in [
        r#"up{namespace="other"}"#,
        r#"up{namespace=~"shop"}"#,
        r#"up{namespace!="shop"}"#,
        r#"up{"namespace"="other"}"#,
        r#"{job="a"}"#,
        r#"{__name__=~"up|down"}"#,
        r#"{__name__="up",__name__!="x"}"#,
        r#"up{__name__="x"}"#,
        "rate(x[31d])",
        "rate(x[30d] offset 1h)",
        "max_over_time(rate(x[29d])[2d:1h])",
        "max_over_time(x[20d:1m] offset 11d)",
        "max_over_time(x[1d:1s])",
        "max_over_time(max_over_time(x[1h:1s])[1h:1s])",
        "x @ 0",
        "x @ start()",
        "x offset -1h",
        "x[5m]",
        "\"text\"",
        "x[5m:1m]",
        "exp(Inf)",
        "ln(-1)",
        "sort_by_label(x, \"a\")",
        "limitk(1, x)",
        "info(x)",
        "x + fill(0) y",
        "x{a=~\"(\"}",
        "x{a=\"\\é\"}",
        "x{a=~\"\\é\"}",
        "x{a=\"b\" or a=\"c\"}",
        "label_replace(x, \"a\", \"b\", \"c\", \"(?=x)\")",
        "holt_winters(x[1h], 0.1, 0.1)",
        "nonsense(",
        "",
        "x # comment",
        "x[1e99]",
        "x[NaN]",
        "x offset 1e99",
        "x offset\t9e99",
        "rate(x[5m])\u{0}",
    ] {
        assert!(sanitised(expr).is_err(), "{expr}: {:?}", sanitised(expr));
    }
    let deep = format!("{}x{}", "(".repeat(400), ")".repeat(400));
    assert!(sanitised(&deep).is_err());
    assert!(sanitised(&"-".repeat(400)).is_err());
    assert!(sanitised(&format!("x{}", " or x".repeat(1000))).is_err());
}

#[test]
fn the_deepest_tree_that_is_let_in_does_not_overflow_a_small_stack() {
    let deepest = format!("{}x{}", "-(".repeat(149), ")".repeat(149));
    let widest = format!("x{}", " or x".repeat(800));
    let run = move || (sanitised(&deepest).is_ok(), sanitised(&widest).is_ok());
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), (true, true));
}

/// Trees of every shape that PromQL has, as text.
fn vector() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[a-z_][a-z0-9_:]{0,6}x", Just("{\"my.metric\"}".to_owned())];
    let leaf = prop_oneof![
        name.clone(),
        "[a-z]{1,5}x".prop_map(|n| format!("{n}{{a=\"b\\\\\",c!~'d.*',\"e.f\"=\"\\\"\"}}")),
        "[a-z]{1,5}x".prop_map(|n| format!("{n} offset 5m")),
        "[a-z]{1,5}x".prop_map(|n| format!("rate({n}[5m])")),
        Just("vector(1.5e-3)".to_owned()),
        Just("time()".to_owned()),
        Just("vector(Inf)".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let op = prop_oneof![
            "[-+*/%^]",
            Just("atan2".to_owned()),
            Just("== bool".to_owned()),
            Just("> bool".to_owned()),
        ];
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner
                .clone()
                .prop_map(|e| format!("sum by (a, \"b.c\") (vector(scalar({e} + vector(0))))")),
            inner
                .clone()
                .prop_map(|e| format!("topk without () (3, {e} + vector(0))")),
            inner
                .clone()
                .prop_map(|e| format!("max_over_time(({e} + vector(0))[1h:1m])")),
            inner
                .clone()
                .prop_map(|e| format!("histogram_fraction(0, 0.3, {e} + vector(0))")),
            (inner.clone(), inner.clone())
                .prop_map(|(l, r)| format!("({l} + vector(0)) * on (a) group_left (b) ({r} + vector(0))")),
            (inner.clone(), inner)
                .prop_map(|(l, r)| format!("({l} + vector(0)) and ignoring (a) ({r} + vector(0))")),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_reading_again_changes_nothing(expr in vector()) {
        let tree = promql::parse(&expr).map_err(|e| TestCaseError::fail(format!("{expr}: {e}")))?;
        let printed = promql::print(&tree);
        let again = promql::parse(&printed).map_err(|e| TestCaseError::fail(format!("{printed}: {e}")))?;
        prop_assert_eq!(&again, &tree, "{} became {}", expr, printed);
    }

    #[test]
    fn sanitising_twice_changes_nothing(expr in vector()) {
        let once = sanitised(&expr);
        if let Ok(once) = once {
            prop_assert_eq!(sanitised(&once), Ok(once.clone()));
        }
    }

    /// As `operator/fuzz` does for longer: the guard knows every text on which the parser panics.
    #[test]
    fn any_text_is_answered(text in "[a-z0-9{}\\[\\]()\"'`=~!,@#:+. \\\\éoffset-]{0,60}") {
        let refusal = sanitised(&text).err();
        prop_assert!(!refusal.is_some_and(|refusal| refusal.problem.contains("read safely")), "{}", text);
    }
}
