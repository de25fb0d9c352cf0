//! Computes who may reach whom from policies and pods, without I/O.

use std::{collections::BTreeMap, net::Ipv4Addr, ops::RangeInclusive};

use ipnet::Ipv4Net;
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort},
};
use kube::ResourceExt;

use super::peers::{self, Peers};

pub type Labels = BTreeMap<String, String>;

/// A pod with its own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub namespace: String,
    pub labels: Labels,
    pub ip: Ipv4Addr,
    /// Name, protocol and number of its containers' ports.
    pub ports: Vec<(String, String, u16)>,
}

impl Endpoint {
    /// `None` for a pod without an address, one that has ended (its address may be reused), and one on the host
    /// network, to which no policy applies.
    pub fn of(pod: &Pod) -> Option<Self> {
        let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
        if spec.host_network == Some(true) || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
        {
            return None;
        }
        // Restartable init containers are sidecars.
        let sidecars = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let ports = spec
            .containers
            .iter()
            .chain(sidecars)
            .flat_map(|container| container.ports.iter().flatten());
        Some(Self {
            namespace: pod.namespace()?,
            labels: pod.labels().clone(),
            ip: status.pod_ip.as_ref()?.parse().ok()?,
            ports: ports
                .filter_map(|port| {
                    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
                    Some((
                        port.name.clone()?,
                        protocol,
                        u16::try_from(port.container_port).ok()?,
                    ))
                })
                .collect(),
        })
    }

    fn named_port(&self, name: &str, protocol: &str) -> Option<u16> {
        let mut ports = self.ports.iter();
        ports
            .find(|(own, own_protocol, _)| own == name && own_protocol == protocol)
            .map(|(_, _, port)| *port)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Ingress,
    Egress,
}

/// Traffic of one protocol to these ports, or to all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub protocol: String,
    pub ports: Option<RangeInclusive<u16>>,
}

/// Allowed traffic with these peers; `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    pub peer: Option<Ipv4Net>,
    pub service: Option<Service>,
}

/// A pod that is isolated for ingress or egress, with its exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolated {
    pub ip: Ipv4Addr,
    pub allowed: Vec<Allowed>,
}

/// All isolated pods. A pod that is not listed is not isolated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub ingress: Vec<Isolated>,
    pub egress: Vec<Isolated>,
}

impl Rules {
    pub fn new(policies: &[NetworkPolicy], endpoints: &[Endpoint], namespaces: &[Namespace]) -> Self {
        let namespaces: BTreeMap<String, Labels> = namespaces
            .iter()
            .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
            .collect();
        let cluster = Cluster {
            endpoints,
            namespaces,
        };
        Self {
            ingress: cluster.isolated(policies, Direction::Ingress),
            egress: cluster.isolated(policies, Direction::Egress),
        }
    }
}

pub(super) struct Cluster<'a> {
    pub endpoints: &'a [Endpoint],
    pub namespaces: BTreeMap<String, Labels>,
}

impl Cluster<'_> {
    fn isolated(&self, policies: &[NetworkPolicy], direction: Direction) -> Vec<Isolated> {
        self.endpoints
            .iter()
            .filter_map(|endpoint| {
                let mut selecting = policies
                    .iter()
                    .filter(|policy| selects(policy, endpoint, direction))
                    .peekable();
                selecting.peek()?;
                let mut allowed = Vec::new();
                for policy in selecting {
                    self.allow(policy, endpoint, direction, &mut allowed);
                }
                Some(Isolated {
                    ip: endpoint.ip,
                    allowed,
                })
            })
            .collect()
    }

    fn allow(
        &self,
        policy: &NetworkPolicy,
        endpoint: &Endpoint,
        direction: Direction,
        allowed: &mut Vec<Allowed>,
    ) {
        let Some(spec) = &policy.spec else { return };
        let rules: Vec<(&[NetworkPolicyPeer], &[NetworkPolicyPort])> = match direction {
            Direction::Ingress => spec
                .ingress
                .iter()
                .flatten()
                .map(|rule| (list(rule.from.as_ref()), list(rule.ports.as_ref())))
                .collect(),
            Direction::Egress => spec
                .egress
                .iter()
                .flatten()
                .map(|rule| (list(rule.to.as_ref()), list(rule.ports.as_ref())))
                .collect(),
        };
        for (peers, ports) in rules {
            let peers = self.peers(&endpoint.namespace, peers);
            if ports.is_empty() {
                allowed.extend(
                    peers::nets(&peers)
                        .into_iter()
                        .map(|peer| Allowed { peer, service: None }),
                );
            }
            for port in ports {
                self.allow_port(port, &peers, endpoint, direction, allowed);
            }
        }
    }

    fn allow_port(
        &self,
        port: &NetworkPolicyPort,
        peers: &[Peers<'_>],
        endpoint: &Endpoint,
        direction: Direction,
        allowed: &mut Vec<Allowed>,
    ) {
        use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        let mut to_nets = |ports: Option<RangeInclusive<u16>>| {
            let service = Service {
                protocol: protocol.clone(),
                ports,
            };
            let nets = peers::nets(peers).into_iter();
            allowed.extend(nets.map(|peer| Allowed {
                peer,
                service: Some(service.clone()),
            }));
        };
        match (&port.port, direction) {
            (None, _) => to_nets(None),
            (Some(IntOrString::Int(first)), _) => {
                let last = port.end_port.unwrap_or(*first);
                if let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(last)) {
                    to_nets(Some(first..=last));
                }
            }
            // A port name refers to the destination pod: this one, or each of the peers.
            (Some(IntOrString::String(name)), Direction::Ingress) => {
                if let Some(number) = endpoint.named_port(name, &protocol) {
                    to_nets(Some(number..=number));
                }
            }
            (Some(IntOrString::String(name)), Direction::Egress) => {
                for peer in peers::endpoints(peers, self.endpoints) {
                    if let Some(number) = peer.named_port(name, &protocol) {
                        allowed.push(Allowed {
                            peer: Some(peer.ip.into()),
                            service: Some(Service {
                                protocol: protocol.clone(),
                                ports: Some(number..=number),
                            }),
                        });
                    }
                }
            }
        }
    }
}

fn list<T>(items: Option<&Vec<T>>) -> &[T] {
    items.map_or(&[], Vec::as_slice)
}

fn selects(policy: &NetworkPolicy, endpoint: &Endpoint, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let applies = match (&spec.policy_types, direction) {
        (Some(types), Direction::Ingress) => types.iter().any(|t| t == "Ingress"),
        (Some(types), Direction::Egress) => types.iter().any(|t| t == "Egress"),
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => spec.egress.is_some(),
    };
    applies
        && policy.namespace().as_ref() == Some(&endpoint.namespace)
        && spec
            .pod_selector
            .as_ref()
            .is_none_or(|selector| peers::matches(selector, &endpoint.labels))
}
