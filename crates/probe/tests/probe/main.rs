//! The real binary on loopback: a witness and a prober as processes, as they run in a pod.

mod run;
mod answers;
mod bounds;
mod servers;
