#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "io/hdf5/node.hpp"

namespace caravan::io::h5 {

/// How nodes go from the child that reads a foreign file to its parent.
nlohmann::json to_json(const std::vector<Node>& nodes);

/// The child may be in the hands of the file, so what it says is outside input: IoError or json::exception
/// when it is no such list.
std::vector<Node> nodes_from(const nlohmann::json& list);

}  // namespace caravan::io::h5
