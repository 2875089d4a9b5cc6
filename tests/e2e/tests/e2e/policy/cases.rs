//! A table of network policies, with the connections that each allows and denies.
//!
//! The cases follow those of Kubernetes' conformance suite (`test/e2e/network/netpol` in its sources), with some
//! additions for Cilium. The namespaces `red`, `green` and `blue` have the pods `a`, `b` and `c` each, which all listen
//! on ports 80 and 81, TCP and UDP. The label `pod` is the pod's name, the label `ns` the namespace's.

use Expected::{Allowed, Denied};
use Port::{Tcp, Udp};

/// A policy with its rows. At least one row must be denied, because otherwise it is unknown when the policy takes
/// effect.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// One or several YAML documents.
    pub(super) policies: &'static str,
    pub(super) rows: &'static [Row],
}

/// A connection between two pods, as `<namespace>/<name>`, and whether the policy allows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) port: Port,
    pub(super) expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Tcp(u16),
    Udp(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Allowed,
    Denied,
}

const fn row(from: &'static str, to: &'static str, port: Port, expected: Expected) -> Row {
    Row { from, to, port, expected }
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "nothing may come in",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec: { podSelector: {}, policyTypes: [Ingress] }
",
        rows: &[
            row("green/a", "red/a", Tcp(80), Denied),
            row("red/b", "red/a", Tcp(80), Denied),
            row("blue/c", "red/c", Udp(81), Denied),
            row("red/a", "green/a", Tcp(80), Allowed),
            row("green/a", "blue/a", Tcp(80), Allowed),
        ],
    },
    Case {
        name: "nothing may come in or go out",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
",
        rows: &[
            row("green/a", "red/a", Tcp(80), Denied),
            row("red/a", "green/a", Tcp(80), Denied),
            row("red/a", "green/b", Udp(80), Denied),
            row("green/a", "blue/b", Udp(80), Allowed),
        ],
    },
    Case {
        name: "pods of the same namespace, by label",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ podSelector: { matchLabels: { pod: b } } }] }]
",
        rows: &[
            row("red/b", "red/a", Tcp(80), Allowed),
            row("red/c", "red/a", Tcp(80), Denied),
            row("green/b", "red/a", Tcp(80), Denied),
            row("green/a", "red/b", Tcp(80), Allowed),
        ],
    },
    Case {
        name: "pods of the same namespace, by expression",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
  - from: [{ podSelector: { matchExpressions: [{ key: pod, operator: In, values: [b] }] } }]
",
        rows: &[row("red/b", "red/a", Tcp(81), Allowed), row("red/c", "red/a", Tcp(81), Denied)],
    },
    Case {
        name: "a namespace, by label",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: green } } }] }]
",
        rows: &[
            row("green/a", "red/a", Tcp(80), Allowed),
            row("green/c", "red/a", Udp(80), Allowed),
            row("blue/a", "red/a", Tcp(80), Denied),
            row("red/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "all namespaces but one's own, by expression",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
  - from: [{ namespaceSelector: { matchExpressions: [{ key: ns, operator: NotIn, values: [red] }] } }]
",
        rows: &[
            row("green/b", "red/a", Tcp(80), Allowed),
            row("blue/b", "red/a", Tcp(80), Allowed),
            row("red/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "pods here, or a namespace: two peers",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
  - from:
    - podSelector: { matchLabels: { pod: b } }
    - namespaceSelector: { matchLabels: { ns: green } }
",
        rows: &[
            row("red/b", "red/a", Tcp(80), Allowed),
            row("green/c", "red/a", Tcp(80), Allowed),
            row("red/c", "red/a", Tcp(80), Denied),
            row("blue/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "pods of a namespace: one peer with both selectors",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
  - from:
    - podSelector: { matchLabels: { pod: b } }
      namespaceSelector: { matchLabels: { ns: green } }
",
        rows: &[
            row("green/b", "red/a", Tcp(80), Allowed),
            row("green/a", "red/a", Tcp(80), Denied),
            row("red/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "a port",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ ports: [{ protocol: TCP, port: 81 }] }]
",
        rows: &[
            row("green/a", "red/a", Tcp(81), Allowed),
            row("green/a", "red/a", Tcp(80), Denied),
            row("green/a", "red/a", Udp(81), Denied),
        ],
    },
    Case {
        name: "a port by its name in the pod",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ ports: [{ protocol: TCP, port: tcp-80 }] }]
",
        rows: &[row("green/a", "red/a", Tcp(80), Allowed), row("green/a", "red/a", Tcp(81), Denied)],
    },
    Case {
        name: "a range of ports",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ ports: [{ protocol: TCP, port: 81, endPort: 90 }] }]
",
        rows: &[row("green/a", "red/a", Tcp(81), Allowed), row("green/a", "red/a", Tcp(80), Denied)],
    },
    Case {
        name: "one protocol of two",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ ports: [{ protocol: UDP, port: 80 }] }]
",
        rows: &[row("green/a", "red/a", Udp(80), Allowed), row("green/a", "red/a", Tcp(80), Denied)],
    },
    Case {
        name: "a port, and only for a namespace",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress:
  - from: [{ namespaceSelector: { matchLabels: { ns: green } } }]
    ports: [{ protocol: TCP, port: 80 }]
",
        rows: &[
            row("green/b", "red/a", Tcp(80), Allowed),
            row("green/b", "red/a", Tcp(81), Denied),
            row("blue/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "two policies for a pod allow what either allows",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: green } } }], ports: [{ port: 80 }] }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p2, namespace: red }
spec:
  podSelector: { matchExpressions: [{ key: pod, operator: In, values: [a, b] }] }
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: green } } }], ports: [{ port: 81 }] }]
",
        rows: &[
            row("green/a", "red/a", Tcp(80), Allowed),
            row("green/a", "red/a", Tcp(81), Allowed),
            row("green/a", "red/b", Tcp(81), Allowed),
            row("green/a", "red/b", Tcp(80), Denied),
            row("blue/a", "red/a", Tcp(81), Denied),
        ],
    },
    Case {
        name: "all may come in to one, nothing to the others",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec: { podSelector: {}, policyTypes: [Ingress] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p2, namespace: red }
spec: { podSelector: { matchLabels: { pod: a } }, ingress: [{}] }
",
        rows: &[row("blue/a", "red/a", Tcp(80), Allowed), row("blue/a", "red/b", Tcp(80), Denied)],
    },
    Case {
        name: "out to pods of the same namespace",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  policyTypes: [Egress]
  egress: [{ to: [{ podSelector: { matchLabels: { pod: b } } }] }]
",
        rows: &[
            row("red/a", "red/b", Tcp(80), Allowed),
            row("red/a", "red/c", Tcp(80), Denied),
            row("red/a", "green/b", Tcp(80), Denied),
            row("red/b", "red/c", Tcp(80), Allowed),
            row("red/c", "red/a", Tcp(80), Allowed),
        ],
    },
    Case {
        name: "out to a namespace",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{ to: [{ namespaceSelector: { matchLabels: { ns: green } } }] }]
",
        rows: &[
            row("red/a", "green/a", Tcp(80), Allowed),
            row("red/c", "green/b", Udp(81), Allowed),
            row("red/a", "blue/a", Tcp(80), Denied),
            row("red/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "out to a port, and to another one of a namespace",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  policyTypes: [Egress]
  egress:
  - ports: [{ protocol: TCP, port: 80 }]
  - to: [{ namespaceSelector: { matchLabels: { ns: blue } } }]
    ports: [{ protocol: TCP, port: 81 }]
",
        rows: &[
            row("red/a", "green/a", Tcp(80), Allowed),
            row("red/a", "green/a", Tcp(81), Denied),
            row("red/a", "blue/a", Tcp(81), Allowed),
            row("red/a", "blue/a", Udp(81), Denied),
        ],
    },
    Case {
        name: "what one may send, the other need not take",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  policyTypes: [Egress]
  egress: [{ to: [{ namespaceSelector: { matchLabels: { ns: green } } }] }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: green }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ namespaceSelector: { matchLabels: { ns: blue } } }] }]
",
        rows: &[
            row("red/a", "green/a", Tcp(80), Denied),
            row("red/a", "green/b", Tcp(80), Allowed),
            row("blue/a", "green/a", Tcp(80), Allowed),
            row("red/a", "blue/a", Tcp(80), Denied),
        ],
    },
    Case {
        // Cilium identifies pods by labels, so address blocks match only peers that are no pods (its documentation,
        // "CIDR-based").
        name: "a block of addresses admits no pods",
        policies: "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  podSelector: { matchLabels: { pod: a } }
  ingress: [{ from: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }]
",
        rows: &[row("green/a", "red/a", Tcp(80), Denied), row("green/a", "red/b", Tcp(80), Allowed)],
    },
    Case {
        name: "Cilium: endpoints of the same namespace, and a port",
        policies: "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  endpointSelector: { matchLabels: { pod: a } }
  ingress:
  - fromEndpoints: [{ matchLabels: { pod: b } }]
    toPorts: [{ ports: [{ port: '80', protocol: TCP }] }]
",
        rows: &[
            row("red/b", "red/a", Tcp(80), Allowed),
            row("red/b", "red/a", Tcp(81), Denied),
            row("red/c", "red/a", Tcp(80), Denied),
            row("green/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "Cilium: a refusal outweighs what is allowed",
        policies: "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  endpointSelector: { matchLabels: { pod: a } }
  ingress: [{ fromEntities: [cluster] }]
  ingressDeny: [{ fromEndpoints: [{ matchLabels: { pod: b } }] }]
",
        rows: &[
            row("red/c", "red/a", Tcp(80), Allowed),
            row("green/b", "red/a", Tcp(80), Allowed),
            row("red/b", "red/a", Tcp(80), Denied),
        ],
    },
    Case {
        name: "Cilium: out to a namespace's endpoints",
        policies: "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p1, namespace: red }
spec:
  endpointSelector: { matchLabels: { pod: a } }
  egress: [{ toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': green, pod: b } }] }]
",
        rows: &[
            row("red/a", "green/b", Tcp(80), Allowed),
            row("red/a", "green/c", Tcp(80), Denied),
            row("red/a", "red/b", Tcp(80), Denied),
            row("green/b", "red/a", Tcp(80), Allowed),
        ],
    },
    Case {
        name: "Cilium: a refusal in the whole cluster, and nothing else is closed by it",
        policies: "
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: p1 }
spec:
  endpointSelector: { matchLabels: { pod: c } }
  enableDefaultDeny: { ingress: false }
  ingressDeny: [{ fromEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': blue } }] }]
",
        rows: &[
            row("blue/a", "red/c", Tcp(80), Denied),
            row("blue/b", "green/c", Udp(80), Denied),
            row("red/a", "green/c", Tcp(80), Allowed),
            row("blue/a", "red/a", Tcp(80), Allowed),
        ],
    },
];
