//! The network policy enforcer's rules in the kernel, on a network of its own, without a cluster.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    process::{self, Command},
    thread,
    time::Duration,
};

use ipnet::Ipv4Net;
use lab::netpol::{Allowed, Isolated, Rules, Ruleset, Service};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const NODE: &str = "node";
const WEB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const DB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 4);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const PORTS: [u16; 2] = [5432, 8080];

/// Network namespaces joined by a bridge, as a node joins its pods; removed when it is dropped.
struct Network {
    prefix: String,
}

impl Network {
    fn new() -> Self {
        let network = Self {
            prefix: format!("oapp{}", process::id()),
        };
        network.add(NODE);
        let node = network.name(NODE);
        ip(&["-n", &node, "link", "add", "br0", "type", "bridge"]);
        ip(&[
            "-n",
            &node,
            "address",
            "add",
            &format!("{GATEWAY}/24"),
            "dev",
            "br0",
        ]);
        ip(&["-n", &node, "link", "set", "br0", "up"]);
        run(Command::new("ip")
            .args(["netns", "exec", &node, "sysctl", "-qw"])
            .args(["net.bridge.bridge-nf-call-iptables=1", "net.ipv4.ip_forward=1"]));
        for (name, address) in [("web", WEB), ("db", DB), ("stranger", STRANGER)] {
            network.add(name);
            let pod = network.name(name);
            ip(&[
                "-n", &pod, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", &node,
            ]);
            ip(&["-n", &node, "link", "set", name, "master", "br0", "up"]);
            ip(&[
                "-n",
                &pod,
                "address",
                "add",
                &format!("{address}/24"),
                "dev",
                "eth0",
            ]);
            ip(&["-n", &pod, "link", "set", "eth0", "up"]);
            network.serve(name);
        }
        network.serve(NODE);
        network
    }

    fn add(&self, name: &str) {
        ip(&["netns", "add", &self.name(name)]);
        ip(&["-n", &self.name(name), "link", "set", "lo", "up"]);
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Runs the closure on a thread in this network namespace, where the processes that it starts are, too.
    fn inside<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name(name))).unwrap();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    fn serve(&self, name: &str) {
        for port in PORTS {
            // The socket stays in the namespace in which it was created.
            let listener = self.inside(name, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
            thread::spawn(move || while listener.accept().is_ok() {});
        }
    }

    fn apply(&self, rules: &Rules) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        self.inside(NODE, || runtime.block_on(Ruleset::from(rules).apply()))
            .unwrap();
    }

    fn connect(&self, from: &str, to: Ipv4Addr, port: u16) -> Option<TcpStream> {
        let to = SocketAddr::from((to, port));
        self.inside(from, || {
            TcpStream::connect_timeout(&to, Duration::from_millis(500)).ok()
        })
    }

    #[track_caller]
    fn expect(&self, table: &[(&str, Ipv4Addr, u16, bool)]) {
        for &(from, to, port, expected) in table {
            assert_eq!(
                self.connect(from, to, port).is_some(),
                expected,
                "{from} -> {to}:{port}"
            );
        }
    }

    fn rules(&self) -> String {
        let node = self.name(NODE);
        let output = Command::new("ip")
            .args(["netns", "exec", &node, "iptables-save"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [NODE, "web", "db", "stranger"] {
            let _ = Command::new("ip")
                .args(["netns", "delete", &self.name(name)])
                .status();
        }
    }
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} (this test needs root): {stderr}"
    );
}

fn allowed(peer: Ipv4Net, port: u16) -> Allowed {
    Allowed {
        peer: Some(peer),
        service: Some(Service {
            protocol: "TCP".to_owned(),
            ports: Some(port..=port),
        }),
    }
}

#[test]
fn the_kernel_passes_only_allowed_traffic() {
    let network = Network::new();
    network.apply(&Rules::default());
    network.expect(&[
        ("web", DB, 5432, true),
        ("stranger", DB, 5432, true),
        ("db", WEB, 8080, true),
        ("node", DB, 5432, true),
    ]);
    let talking = network.connect("stranger", DB, 5432);

    // The database accepts its port from the web pod, and may connect to nobody.
    let mut rules = Rules {
        ingress: vec![Isolated {
            ip: DB,
            allowed: vec![allowed(WEB.into(), 5432)],
        }],
        egress: vec![Isolated {
            ip: DB,
            allowed: vec![],
        }],
    };
    network.apply(&rules);
    network.expect(&[
        ("web", DB, 5432, true),
        ("web", DB, 8080, false),
        ("stranger", DB, 5432, false),
        ("db", WEB, 8080, false),
        ("stranger", WEB, 8080, true),
        // The kubelet's probes come from the node.
        ("node", DB, 5432, true),
        // Egress rules also apply to the node's own addresses.
        ("db", GATEWAY, 8080, false),
        ("web", GATEWAY, 8080, true),
    ]);
    drop(talking.expect("was connected before there was a policy"));

    // Rules are replaced as a whole.
    rules.egress = vec![Isolated {
        ip: WEB,
        allowed: vec![allowed("10.77.0.4/31".parse().unwrap(), 8080)],
    }];
    rules.ingress.clear();
    network.apply(&rules);
    network.expect(&[
        ("web", DB, 5432, false),
        ("web", STRANGER, 8080, true),
        ("web", STRANGER, 5432, false),
        ("db", WEB, 8080, true),
    ]);
    assert_eq!(
        network.rules().matches("-A FORWARD").count(),
        1,
        "hooked once: {}",
        network.rules()
    );

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    network.inside(NODE, || runtime.block_on(lab::netpol::remove()));
    assert!(!network.rules().contains("OBSERVEDAPP"), "{}", network.rules());
    network.expect(&[("web", DB, 5432, true)]);
}
