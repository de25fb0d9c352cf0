//! What holds of every pod of every case: the restricted Pod Security Standard, and what an expert would not forget.

use golden_tests::Case;
use observedapp_desired::desired;
use serde_json::Value;

/// Every pod template of a list of objects, with the name of its object.
pub fn templates(objects: &[observedapp_desired::Object]) -> Vec<(String, Value)> {
    objects
        .iter()
        .filter_map(|object| {
            let value = serde_json::to_value(object).unwrap();
            let template = value["spec"]["template"].clone();
            let name = format!("{} {}", object.kind().as_str(), object.name());
            template.is_object().then_some((name, template))
        })
        .collect()
}

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>, as far as a field of ours can
/// break it.
pub fn restricted(pod: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    let spec = &pod["spec"];
    let security = &spec["securityContext"];
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        must(spec[field].as_bool() != Some(true), field.to_owned());
    }
    must(security["runAsNonRoot"] == true, "runAsNonRoot".to_owned());
    must(security["runAsUser"] != 0, "runAsUser".to_owned());
    must(
        security["seccompProfile"]["type"] == "RuntimeDefault",
        "seccompProfile".to_owned(),
    );
    let allowed = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        for source in volume.as_object().unwrap().keys() {
            must(allowed.contains(&source.as_str()), format!("volume {source}"));
        }
    }
    for container in spec["containers"].as_array().unwrap() {
        let name = container["name"].as_str().unwrap();
        let security = &container["securityContext"];
        must(
            security["allowPrivilegeEscalation"] == false,
            format!("{name}: allowPrivilegeEscalation"),
        );
        must(
            security["capabilities"]["drop"] == serde_json::json!(["ALL"]),
            format!("{name}: drop"),
        );
        let added = security["capabilities"]["add"].as_array().into_iter().flatten();
        for capability in added {
            must(capability == "NET_BIND_SERVICE", format!("{name}: {capability}"));
        }
        must(security["privileged"] != true, format!("{name}: privileged"));
        for port in container["ports"].as_array().into_iter().flatten() {
            must(port["hostPort"].is_null(), format!("{name}: hostPort"));
        }
    }
    broken
}

#[test]
fn pods_pass_the_restricted_standard() {
    for case in Case::all().unwrap() {
        if !case.app.spec.security_context.run_as_non_root {
            continue; // Its owner asked for less.
        }
        for (name, pod) in templates(&desired(&case.validate().unwrap()).objects) {
            assert_eq!(restricted(&pod), Vec::<String>::new(), "{}: {name}", case.name);
        }
    }
}

#[test]
fn pods_are_what_an_expert_would_write() {
    for case in Case::all().unwrap() {
        for (name, pod) in templates(&desired(&case.validate().unwrap()).objects) {
            let name = format!("{}: {name}", case.name);
            let spec = &pod["spec"];
            assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
            assert_eq!(spec["enableServiceLinks"], false, "{name}");
            for container in spec["containers"].as_array().unwrap() {
                let name = format!("{name}: {}", container["name"]);
                let resources = &container["resources"];
                for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
                    assert!(resources.pointer(amount).is_some(), "{name}: {amount}");
                }
                let image = container["image"].as_str().unwrap();
                assert!(!image.ends_with(":latest"), "{name}: {image}");
                for variable in container["env"].as_array().into_iter().flatten() {
                    let value = variable["value"].as_str().unwrap_or_default();
                    assert!(!value.contains("password"), "{name}: {variable}");
                }
            }
            let main = &spec["containers"][0];
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                assert!(main[probe].is_object(), "{name}: {probe}");
            }
        }
    }
}
