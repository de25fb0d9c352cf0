//! Events: one for each transition that a person may want to find later.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};
use tracing::warn;

/// Writes Events.
pub struct Reporter(Recorder);

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reporter")
    }
}

/// The longest note that the API server takes.
const NOTE_LIMIT: usize = 1024;

impl Reporter {
    pub fn new(client: Client, instance: String) -> Self {
        Self(Recorder::new(
            client,
            Source {
                controller: "observedapp".to_owned(),
                instance: Some(instance),
            },
        ))
    }

    /// Writes an Event about an app. One that cannot be written is no reason to stop.
    pub async fn emit(&self, regarding: &ObjectReference, good: bool, reason: &str, note: &str) {
        let event = Event {
            type_: if good {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: reason.to_owned(),
            note: Some(shortened(note, NOTE_LIMIT)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let published = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            self.0.publish(&event, regarding),
        )
        .await;
        match published {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(reason, %error, "the Event could not be written"),
            Err(_) => warn!(reason, "the Event could not be written in time"),
        }
    }
}

/// At most so many bytes, cut between characters.
pub fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit.saturating_sub('…'.len_utf8()))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("äöüäöü", 8), "äö…");
        assert!(shortened(&"ü".repeat(2000), 1024).len() <= 1024);
    }
}
