#pragma once

#include "caravan/abi.h"

namespace caravan {

class Communicator;
class Device;
class ParameterStore;
class Registry;

/// What a component's constructor may use of the program that creates it. Borrowed pointers that outlive the
/// component; a service that this program does not offer is null.
struct Host {
  Registry* registry = nullptr;          ///< to create further components
  Device* device = nullptr;              ///< where tensors live
  ParameterStore* parameters = nullptr;  ///< layers declare their parameters here
  Communicator* data = nullptr;          ///< ranks that hold other samples
  Communicator* experts = nullptr;       ///< ranks that hold other experts

  static const Host& from(const caravan_host* host) { return *reinterpret_cast<const Host*>(host); }
  const caravan_host* handle() const { return reinterpret_cast<const caravan_host*>(this); }
};

}  // namespace caravan
