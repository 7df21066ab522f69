#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "caravan/device.hpp"
#include "caravan/parameter.hpp"
#include "io/files/huge_pages.hpp"
#include "jobs/state/pinned_memory.hpp"

namespace caravan::jobs {

/// Gives fragments their values, one after the other and piece by piece, each read by several threads. Where
/// a weight alone is kept and stands in the file as it is computed with, its bytes go to the device as they
/// are, through one pinned room. Borrows both.
class WeightLoader {
 public:
  /// `piece_bytes`: of a piece of the type of computation; enough for eight threads, and soon pinned.
  WeightLoader(Device& device, ParameterStore& store, std::size_t piece_bytes = std::size_t{128} << 20);
  WeightLoader(const WeightLoader&) = delete;
  WeightLoader& operator=(const WeightLoader&) = delete;

  /// The type in the file of a part of a parameter, by the part's name.
  using TypeOf = std::function<DType(const std::string& part)>;
  /// Reads a box of a part, by its name, into host memory of f32 or of the type of computation, any strides.
  /// Any threads call it at once; each may use `threads` of its own.
  using ReadPart =
      std::function<void(const std::string& part, const Box& box, const TensorView& to, int threads)>;
  void load(const Fragment& fragment, const TypeOf& type_of, const ReadPart& read);

 private:
  /// Memory of the host that the device reaches at the speed of its bus.
  struct Room {
    Room(Device& device, std::uint64_t bytes) : pages(bytes), pinned(device, pages.bytes()) {}
    io::HugePages pages;
    PinnedMemory pinned;
  };
  void load_piece(const Fragment& piece, bool is_as_stored, const ReadPart& read);
  std::span<std::byte> room();

  Device& device_;
  ParameterStore& store_;
  std::size_t piece_bytes_;
  int threads_;
  std::optional<Room> room_;  ///< made when it is first needed
};

}  // namespace caravan::jobs
