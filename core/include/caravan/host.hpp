#pragma once

#include "caravan/abi.h"

namespace caravan {

class Device;
class Mesh;
class ParameterStore;
class Registry;

/// What a component's constructor may use of the program that creates it. Borrowed pointers that outlive the
/// component; a service that this program does not offer is null.
struct Host {
  Registry* registry = nullptr;          ///< to create further components
  Device* device = nullptr;              ///< where tensors live
  ParameterStore* parameters = nullptr;  ///< layers declare their parameters here
  Mesh* mesh = nullptr;                  ///< this rank's place among all, and its groups

  static Host of(Registry& registry, Device* device = nullptr, ParameterStore* parameters = nullptr,
                 Mesh* mesh = nullptr) {
    return {&registry, device, parameters, mesh};
  }
  static const Host& from(const caravan_host* host) { return *reinterpret_cast<const Host*>(host); }
  const caravan_host* handle() const { return reinterpret_cast<const caravan_host*>(this); }
};

}  // namespace caravan
