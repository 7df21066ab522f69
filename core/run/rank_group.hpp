#pragma once

#include "caravan/comm.hpp"

namespace caravan {

/// A group of ranks by what travels: numbers and texts in host memory, and tensors where the device has them.
/// Both are one communicator where the device works in host memory. Borrowed.
struct RankGroup {
  RankGroup(Communicator& both) : host(both), tensors(both) {}
  RankGroup(Communicator& host_, Communicator& tensors_) : host(host_), tensors(tensors_) {}
  Communicator& host;
  Communicator& tensors;
};

}  // namespace caravan
