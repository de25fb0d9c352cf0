//! A spec that admission takes and that makes no sense: it says so, keeps what there is, and starves no other.

use anyhow::Result;
use apiserver_tests::{Running, Space, block_on, condition, ends_as, settled};
use serde_json::json;

use super::{small, undisturbed};

#[test]
fn an_app_that_makes_no_sense_keeps_what_it_has_and_starves_no_other() -> Result<()> {
    block_on(async {
        let expected = undisturbed(small()).await?;
        let space = Space::new("invalid").await?;
        let (_proxy, _operator) = Running::calm(&space).await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        let before = settled(&space).await?;
        let mut nonsense = small();
        nonsense["alerts"] = json!({"extra": [{"alert": "Nonsense", "expr": "sum by ("}]});
        space.apply("tasks", nonsense).await?;
        let app = space
            .until("tasks", "the field is named", |app| {
                condition(app, "Valid").0 == "False"
            })
            .await?;
        assert!(
            condition(&app, "Valid").2.contains("spec.alerts.extra[0].expr"),
            "{:?}",
            condition(&app, "Valid")
        );
        space.apply("other", small()).await?;
        space.applied("other").await?;
        let during = settled(&space).await?;
        for (object, text) in before
            .iter()
            .filter(|(object, _)| !object.starts_with("ObservedApp/"))
        {
            assert_eq!(during.get(object), Some(text), "{object}");
        }
        space.delete("other").await?;
        space.apply("tasks", small()).await?;
        space.applied("tasks").await?;
        ends_as(&space, &expected).await
    })
}
