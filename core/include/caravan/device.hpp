#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/tensor.hpp"

namespace caravan {

class Ops;

/// An ordered queue of work on a device: computation, and a queue for each kind of communication, so that one
/// never waits behind another's. On a GPU a stream; on a CPU work runs inline.
enum class Lane {
  compute,
  pipeline,  ///< between stages
  shard,     ///< gathers of weights, sums of gradients
  expert,    ///< rows on their way to experts and back
  tensor,    ///< rows, keys and values among ranks that compute a layer together
};
inline constexpr std::size_t kLanes = 5;

/// A point in a lane that another lane can wait for. Value type, 0 is "already happened".
struct Event {
  std::uint64_t id = 0;
};

enum class Memory { host, device };

/// Of a device with memory of its own, in bytes; other processes count.
struct MemoryUse {
  std::size_t total = 0, free = 0;
};

/// A kernel, copy or fill as the device ran it. Times are nanoseconds of the device's own clock.
struct DeviceActivity {
  std::string name;
  std::int64_t start_ns = 0, end_ns = 0;
  bool is_exchange = false;  ///< of a collective or message between devices
};

/// What a device posts the work of a lane to, as the interface beneath it calls that. Operators of others ask
/// for it by its type: native_lane() in caravan/native_lane.hpp.
struct NativeLane {
  std::string_view api;  ///< whose handle it is: kName of that type
  void* handle;          ///< the device's own; lives as long as the device
};

/// Work that a device holds as one piece.
class CapturedPosts {
 public:
  virtual ~CapturedPosts() = default;
  /// Posts all of it on the compute lane.
  virtual void post() = 0;
};

/// Where work runs. Plugin kind "device". The constructor throws DeviceError when this machine cannot serve
/// it.
class Device {
 public:
  static constexpr const char* kKind = "device";
  static constexpr std::uint32_t kKindVersion = 8;
  virtual ~Device() = default;

  virtual std::string_view name() const = 0;
  /// One line for the run header: model, cores, instruction set, library versions.
  virtual std::string description() const = 0;
  /// What no two ranks may use at the same time, such as the number of a GPU that no other in the world has;
  /// at most 63 characters. Empty: ranks may share it.
  virtual std::string identity() const { return {}; }
  /// What its make_communicator() moves tensors by, for reports: "NCCL 2.28.3". Empty where it makes none.
  virtual std::string exchange_path() const { return {}; }
  virtual Memory memory() const = 0;
  /// False of a device of a dry run: nothing lies behind its memory, and who brings operators of its own
  /// passes them over.
  virtual bool computes() const { return true; }
  /// What the forward and backward pass compute in unless the job says otherwise.
  virtual DType compute_dtype() const = 0;
  /// Its operators take activations and weights of this type.
  virtual bool computes_in(DType type) const { return type == DType::f32 || type == compute_dtype(); }
  virtual Ops& ops() = 0;

  /// 64-byte aligned (host) or device memory, not initialised. DeviceError names `what` and the sizes when
  /// there is none.
  virtual void* allocate(std::size_t bytes, std::string_view what) = 0;
  virtual void release(void* data) noexcept = 0;
  /// Nothing where the device is in host memory.
  virtual std::optional<MemoryUse> memory_use() const { return std::nullopt; }

  /// Makes copies to and from this memory of the host as fast as the bus until unpin_host() with the same
  /// `data`. Returns why not where the system refuses, and nothing has changed. A device in host memory has
  /// nothing to do.
  virtual std::string pin_host(void* /*data*/, std::size_t /*bytes*/) { return ""; }
  virtual void unpin_host(void* /*data*/) noexcept {}

  /// `to` holds the bytes after synchronize(), and must stay valid until then.
  virtual void copy_to_host(Lane lane, void* to, const void* from, std::size_t bytes) = 0;
  /// `from` is free again when the call returns.
  virtual void copy_from_host(Lane lane, void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy(Lane lane, void* to, const void* from, std::size_t bytes) = 0;
  /// Rows of as many elements, [R, W] each; they may lie apart in both.
  virtual void copy_rows(Lane lane, const TensorView& to, const TensorView& from);
  virtual void fill_zero(Lane lane, void* data, std::size_t bytes) = 0;

  /// [collective over the ranks of `bootstrap`, which moves host memory and outlives it] What moves tensors
  /// in this device's memory among these ranks, in the order of `lane`. Null: whoever asks copies through the
  /// host.
  virtual std::unique_ptr<Communicator> make_communicator(Communicator& /*bootstrap*/, Lane /*lane*/) {
    return nullptr;
  }

  /// None where work of a lane runs inline, or is nobody else's to post.
  virtual std::optional<NativeLane> native_lane(Lane) { return std::nullopt; }
  [[nodiscard]] virtual Event record(Lane lane) = 0;
  virtual void wait(Lane lane, Event event) = 0;
  /// Returns when everything posted on all lanes has finished.
  virtual void synchronize() = 0;
  /// Returns when everything before `event` in its lane has finished, copies to the host included; what came
  /// after it may still run.
  virtual void await(Event) { synchronize(); }

  /// Holds what `work` posts on the compute lane, which is then posted as often as asked for the price of one
  /// post; capturing runs nothing. Work that has run once before, that moves nothing to or from the host,
  /// waits for nothing, and finds its tensors where they are now; it is called again where the device must
  /// capture anew, and must live as long as what is returned. Null, and `work` is not called: this device
  /// holds none.
  virtual std::unique_ptr<CapturedPosts> capture(std::function<void()> /*work*/) { return nullptr; }

  /// Keeps a record of everything that runs from here on, which slows it by a few per cent. DeviceError where
  /// the device has no such records.
  virtual void start_recording();
  /// Synchronizes; what ran since start_recording(), by start.
  virtual std::vector<DeviceActivity> stop_recording();
};

}  // namespace caravan
