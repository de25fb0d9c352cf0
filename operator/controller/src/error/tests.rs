use kube::core::Status;

use super::*;

/// Code, reason and message as Kubernetes 1.34 gives them, the class, and a word of the remedy.
const TABLE: &[(u16, &str, &str, Class, &str)] = &[
    (
        403,
        "Forbidden",
        r#"services "tasks" is forbidden: User "system:serviceaccount:observedapp-system:observedapp" cannot patch resource "services" in API group "" in the namespace "shop""#,
        Class::Forbidden,
        "give the operator's ServiceAccount this right",
    ),
    (
        403,
        "Forbidden",
        r#"services "tasks" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>"#,
        Class::Forbidden,
        "give the operator's ServiceAccount this right",
    ),
    (
        403,
        "Forbidden",
        r#"serviceaccounts "tasks" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion observedapp.dev/v1alpha1 Kind ObservedApp: no matches for kind "ObservedApp" in version "observedapp.dev/v1alpha1""#,
        Class::NotYetServed,
        "",
    ),
    (
        403,
        "Forbidden",
        r#"persistentvolumeclaims "tasks-db" is forbidden: exceeded quota: small, requested: requests.storage=1Gi, used: requests.storage=0, limited: requests.storage=512Mi"#,
        Class::Quota,
        "raise the quota",
    ),
    (
        403,
        "Forbidden",
        r#"persistentvolumeclaims "tasks-db" is forbidden: status unknown for quota: small, resources: requests.storage"#,
        Class::Throttled,
        "",
    ),
    (
        403,
        "Forbidden",
        r#"persistentvolumeclaims "tasks-db" is forbidden: maximum storage usage per PersistentVolumeClaim is 512Mi, but request is 1Gi"#,
        Class::LimitRange,
        "widen the LimitRange",
    ),
    (
        403,
        "Forbidden",
        r#"persistentvolumeclaims "tasks-db" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"#,
        Class::CannotGrow,
        "spec.database.builtin.storage.size",
    ),
    (
        403,
        "Forbidden",
        r#"pods "tasks-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false"#,
        Class::Admission,
        "meet what the message asks for",
    ),
    (
        403,
        "Forbidden",
        r#"services "tasks" is forbidden: unable to create new content in namespace shop because it is being terminated"#,
        Class::Terminating,
        "",
    ),
    (
        404,
        "NotFound",
        r#"namespaces "shop" not found"#,
        Class::Terminating,
        "",
    ),
    (
        404,
        "NotFound",
        "the server could not find the requested resource",
        Class::ApiMissing,
        "CustomResourceDefinition",
    ),
    (
        401,
        "Unauthorized",
        "Unauthorized",
        Class::Unauthorized,
        "ServiceAccount exists",
    ),
    (
        400,
        "",
        r#"admission webhook "policy.example.com" denied the request: no"#,
        Class::Refused,
        "meet what the policy asks for",
    ),
    (
        422,
        "Invalid",
        r#"deployments.apps "tasks" is forbidden: ValidatingAdmissionPolicy 'small' with binding 'small' denied request: no"#,
        Class::Refused,
        "meet what the policy asks for",
    ),
    (
        500,
        "InternalError",
        r#"Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: Post "https://policy.shop.svc:443/?timeout=10s": dial tcp 10.0.0.1:443: connect: connection refused"#,
        Class::WebhookDown,
        "mend the webhook",
    ),
    (
        422,
        "Invalid",
        r#"StatefulSet.apps "a" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden"#,
        Class::Immutable,
        "delete the object",
    ),
    (
        500,
        "InternalError",
        "etcdserver: request timed out",
        Class::Unavailable,
        "",
    ),
    (
        429,
        "TooManyRequests",
        "the server has received too many requests",
        Class::Throttled,
        "",
    ),
];

#[test]
fn messages_tell_what_codes_do_not_and_each_class_has_its_own_remedy() {
    for (code, reason, message, class, remedy) in TABLE {
        let error = kube::Error::Api(Box::new(Status {
            code: *code,
            reason: (*reason).to_owned(),
            message: (*message).to_owned(),
            ..Status::default()
        }));
        assert_eq!(Class::of(&error), *class, "{message}");
        let found = Error::api("apply", "Service", "tasks", &error).remedy();
        match found {
            Some(found) => assert!(!remedy.is_empty() && found.contains(remedy), "{message}: {found}"),
            None => assert!(remedy.is_empty(), "{message}: no remedy"),
        }
    }
}

#[test]
fn an_api_that_is_not_served_yet_is_tried_again_soon() {
    let (.., message, _, _) = TABLE[2];
    let error = kube::Error::Api(Box::new(Status {
        code: 403,
        message: message.to_owned(),
        ..Status::default()
    }));
    let error = Error::api("apply", "ServiceAccount", "tasks", &error);
    assert!(error.backoff(0) < Duration::from_secs(1));
    assert!(error.backoff(40) < Duration::from_secs(15));
}

#[test]
fn backoff_grows_and_has_an_end() {
    let error = Error::timeout("patch", "Service", "tasks");
    assert!(error.backoff(0) < Duration::from_secs(1));
    assert!(error.backoff(40) <= Duration::from_secs(75));
    assert!(error.backoff(40) >= Duration::from_secs(45));
}
