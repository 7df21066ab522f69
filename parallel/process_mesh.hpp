#pragma once

#include <memory>

#include "caravan/device.hpp"
#include "caravan/mesh.hpp"

namespace caravan::parallel {

/// [collective over the world] The mesh of ranks that run, with the communicators of every group. Borrows
/// both, which must outlive it. Error unless the layout is of as many ranks as the world; DeviceError where
/// ranks have different devices, or two the same that serves one.
std::unique_ptr<Mesh> make_process_mesh(Communicator& world, MeshLayout layout, Device& device);

}  // namespace caravan::parallel
