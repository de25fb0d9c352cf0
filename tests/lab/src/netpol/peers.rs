//! Resolves the peers of a rule to pods and addresses.

use ipnet::Ipv4Net;
use k8s_openapi::{
    api::networking::v1::{IPBlock, NetworkPolicyPeer},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::core::{Selector, SelectorExt};

use super::rules::{Cluster, Endpoint, Labels};

/// What a peer selects.
pub(super) enum Peers<'a> {
    Anyone,
    Pods(Vec<&'a Endpoint>),
    Nets(Vec<Ipv4Net>),
}

impl Cluster<'_> {
    /// A rule without peers allows anyone.
    pub(super) fn peers(&self, namespace: &str, peers: &[NetworkPolicyPeer]) -> Vec<Peers<'_>> {
        if peers.is_empty() {
            return vec![Peers::Anyone];
        }
        peers.iter().map(|peer| self.peer(namespace, peer)).collect()
    }

    fn peer(&self, policy_namespace: &str, peer: &NetworkPolicyPeer) -> Peers<'_> {
        if let Some(block) = &peer.ip_block {
            return Peers::Nets(block_nets(block));
        }
        let in_namespace = |endpoint: &Endpoint| match &peer.namespace_selector {
            None => endpoint.namespace == policy_namespace,
            Some(selector) => self
                .namespaces
                .get(&endpoint.namespace)
                .is_some_and(|labels| matches(selector, labels)),
        };
        let selected = |endpoint: &Endpoint| {
            peer.pod_selector
                .as_ref()
                .is_none_or(|selector| matches(selector, &endpoint.labels))
        };
        Peers::Pods(
            self.endpoints
                .iter()
                .filter(|endpoint| in_namespace(endpoint) && selected(endpoint))
                .collect(),
        )
    }
}

/// The addresses; `None` is any.
pub(super) fn nets(peers: &[Peers<'_>]) -> Vec<Option<Ipv4Net>> {
    peers
        .iter()
        .flat_map(|peer| match peer {
            Peers::Anyone => vec![None],
            Peers::Pods(pods) => pods.iter().map(|pod| Some(pod.ip.into())).collect(),
            Peers::Nets(nets) => nets.iter().copied().map(Some).collect(),
        })
        .collect()
}

/// The pods; a port name does not apply to an ipBlock.
pub(super) fn endpoints<'a>(peers: &[Peers<'a>], all: &'a [Endpoint]) -> Vec<&'a Endpoint> {
    peers
        .iter()
        .flat_map(|peer| match peer {
            Peers::Anyone => all.iter().collect(),
            Peers::Pods(pods) => pods.clone(),
            Peers::Nets(_) => Vec::new(),
        })
        .collect()
}

/// An empty selector selects everything. An invalid one, which the API server refuses, selects nothing.
pub(super) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

/// The block without its exceptions. Pods have IPv4 addresses here, so an IPv6 block holds none.
fn block_nets(block: &IPBlock) -> Vec<Ipv4Net> {
    let Ok(net) = block.cidr.parse::<Ipv4Net>() else {
        return Vec::new();
    };
    let mut nets = vec![net.trunc()];
    for except in block.except.iter().flatten().filter_map(|net| net.parse().ok()) {
        nets = nets.into_iter().flat_map(|net| without(net, except)).collect();
    }
    nets
}

/// A net without an exception: halved until each part is fully inside or outside of it.
fn without(net: Ipv4Net, except: Ipv4Net) -> Vec<Ipv4Net> {
    if except.contains(&net) {
        Vec::new()
    } else if net.contains(&except) {
        let halves = net.subnets(net.prefix_len() + 1).into_iter().flatten();
        halves.flat_map(|half| without(half, except)).collect()
    } else {
        vec![net]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn left(cidr: &str, except: &[&str]) -> Vec<String> {
        let except = except.iter().map(|&net| net.to_owned()).collect();
        let block = IPBlock {
            cidr: cidr.to_owned(),
            except: Some(except),
        };
        block_nets(&block).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_block_is_cut_around_its_exceptions() {
        assert_eq!(left("10.0.0.0/8", &[]), ["10.0.0.0/8"]);
        assert_eq!(
            left("10.0.0.0/30", &["10.0.0.2/32"]),
            ["10.0.0.0/31", "10.0.0.3/32"]
        );
        assert_eq!(
            left("10.0.0.0/24", &["10.0.0.0/25", "10.0.0.192/26"]),
            ["10.0.0.128/26"]
        );
        assert_eq!(left("10.0.0.0/24", &["10.0.0.0/24"]), Vec::<String>::new());
        assert_eq!(left("10.0.0.0/24", &["192.168.0.0/16"]), ["10.0.0.0/24"]);
        assert_eq!(left("0.0.0.0/0", &["128.0.0.0/1"]), ["0.0.0.0/1"]);
        assert_eq!(left("fd00::/8", &[]), Vec::<String>::new());
    }

    #[test]
    fn every_address_of_a_block_is_in_one_piece_or_in_an_exception() {
        let block: Ipv4Net = "10.1.2.0/24".parse().unwrap();
        let except: Ipv4Net = "10.1.2.77/32".parse().unwrap();
        let pieces = without(block, except);
        for ip in block.hosts() {
            let covered = pieces.iter().filter(|piece| piece.contains(&ip)).count();
            assert_eq!(covered, usize::from(!except.contains(&ip)), "{ip}");
        }
    }
}
