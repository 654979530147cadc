//! The node agent as it runs on a node: the real program as root, against a real API server with the chart's own rights and
//! policies, probing real processes in real cgroups. The tests play kubelet and operator.

mod program;
mod receiver;
mod stage;

mod allocators;
mod clock;
mod containers;
mod ends;
mod journey;
mod modes;
mod preflight;
mod restarts;
mod uploads;
