//! The pipeline over the rooms: parse, authorize, route, stage, deliver
