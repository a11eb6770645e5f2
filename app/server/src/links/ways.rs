//! The kinds of server to which this one goes.

mod gateway;
mod leaf;
mod route;

pub use gateway::{FarFacts, GatewayWay, HEARD_OF_MAX, SecuredGateway};
pub use leaf::LeafWay;
pub use route::{ClusterFacts, RouteWay, attempts, port_of};

/// What kind of server it is.
pub enum Way {
    Leaf(Box<LeafWay>),
    Route(RouteWay),
    Gateway(Box<GatewayWay>),
}
