//! The whole circle in a played cluster: a request wakes its workload through
//! KEDA, is served by a Pod that is not ready yet, and when all is quiet the
//! workload sleeps again. With one replica of Reveille and with three, which
//! are replaced under traffic.

mod clients;
mod first_request;
mod growing;
mod killed;
mod paused;
mod replicas;
mod rollout;

use super::cluster;
