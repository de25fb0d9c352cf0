//! A spec that passes admission and is invalid: the app reports it, keeps its objects, and blocks no other.

use anyhow::Result;
use apiserver_tests::{RunningOperator, TestNamespace, block_on, condition, converges_to, settled};
use serde_json::json;

use super::{small, without_faults};

#[test]
fn an_invalid_app_keeps_its_objects_and_blocks_no_other() -> Result<()> {
    block_on(async {
        let expected = without_faults(small()).await?;
        let ns = TestNamespace::new("invalid").await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        let before = settled(&ns).await?;
        let mut nonsense = small();
        nonsense["alerts"] = json!({"extra": [{"alert": "Nonsense", "expr": "sum by ("}]});
        ns.apply("tasks", nonsense).await?;
        let app = ns
            .until("tasks", "the field is reported", |app| {
                condition(app, "Valid").0 == "False"
            })
            .await?;
        assert!(
            condition(&app, "Valid").2.contains("spec.alerts.extra[0].expr"),
            "{:?}",
            condition(&app, "Valid")
        );
        ns.apply("other", small()).await?;
        ns.applied("other").await?;
        let during = settled(&ns).await?;
        for (object, text) in before
            .iter()
            .filter(|(object, _)| !object.starts_with("ObservedApp/"))
        {
            assert_eq!(during.get(object), Some(text), "{object}");
        }
        ns.delete("other").await?;
        ns.apply("tasks", small()).await?;
        ns.applied("tasks").await?;
        converges_to(&ns, &expected).await
    })
}
