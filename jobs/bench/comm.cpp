#include "jobs/bench/comm.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "caravan/arena.hpp"
#include "caravan/check.hpp"
#include "jobs/bench/choices.hpp"
#include "jobs/bench/device_limits.hpp"
#include "jobs/bench/median.hpp"
#include "jobs/bench/timed_together.hpp"
#include "jobs/setup/machine.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {
namespace {

constexpr int kTag = 1;

/// Two buffers of equal blocks, one for each rank.
struct Buffers {
  TensorView in, out;
  std::int64_t block;

  TensorView block_of(const TensorView& of, int rank) const {
    return of.rows(rank * block, (rank + 1) * block);
  }
};

using Exchange = void (*)(Communicator& group, const Buffers& buffers);

void finish(Communicator& group, Ticket ticket) {
  group.wait(ticket);
}

/// To the next rank, from the one before.
void send_receive(Communicator& group, const Buffers& buffers) {
  const int ranks = group.size(), next = (group.rank() + 1) % ranks,
            last = (group.rank() + ranks - 1) % ranks;
  Ticket received = group.post_recv(buffers.out, last, kTag), sent = group.post_send(buffers.in, next, kTag);
  group.wait(sent);
  group.wait(received);
}

struct Operation {
  const char* name;
  double share;  ///< of (n − 1) / n that leaves a rank; 0: everything does
  Exchange run;
};
constexpr Operation kOperations[] = {
    {"all_gather", 1,
     [](Communicator& group, const Buffers& buffers) {
       finish(group, group.post_all_gather(buffers.block_of(buffers.in, group.rank()), buffers.out));
     }},
    {"reduce_scatter", 1,
     [](Communicator& group, const Buffers& buffers) {
       finish(group, group.post_reduce_scatter(buffers.in, buffers.block_of(buffers.out, group.rank()),
                                               ReduceOp::sum));
     }},
    {"all_reduce", 2,
     [](Communicator& group, const Buffers& buffers) {
       finish(group, group.post_all_reduce(buffers.out, ReduceOp::sum));
     }},
    {"all_to_all", 1,
     [](Communicator& group, const Buffers& buffers) {
       finish(group, group.post_all_to_all(buffers.in, buffers.out));
     }},
    {"send_receive", 0, send_receive},
};
constexpr std::size_t kNumOperations = std::size(kOperations);

class Bench {
 public:
  Bench(const CommBenchmark& benchmark, Communicator& world)
      : benchmark_(benchmark),
        world_(world),
        registry_(make_registry()),
        device_(choose_device(*registry_, benchmark.device, Config::map())),
        mesh_(parallel::make_process_mesh(world, MeshLayout({.dp_shard = world.size()}, world.size()),
                                          *device_)) {}

  std::string device() const { return device_->description(); }

  CommTiming time(const Operation& operation, std::int64_t bytes) {
    const int ranks = world_.size();
    const auto number = static_cast<std::int64_t>(sizeof(float));
    const std::int64_t block = std::max<std::int64_t>(bytes / number / ranks, 1), count = block * ranks;
    Arena arena(*device_, 2 * (static_cast<std::size_t>(count * number) + Arena::kAlignment), "buffers");
    const Buffers buffers{arena.take(DType::f32, {count}), arena.take(DType::f32, {count}), block};
    upload_numbers(*device_, random_numbers(count, world_.rank()), buffers.in);
    CommTiming timing{operation.name, count * number, seconds_of(operation, buffers)};
    const double others = static_cast<double>(ranks - 1) / ranks;
    timing.moved_bytes =
        static_cast<double>(timing.bytes) * (operation.share > 0 ? operation.share * others : 1);
    timing.limit_bytes_per_s = limit(timing.bytes);
    return timing;
  }

 private:
  /// Sums start from the same numbers every time.
  double seconds_of(const Operation& operation, const Buffers& buffers) {
    Communicator& group = mesh_->group(MeshAxis::fsdp).tensors;
    std::vector<double> times;
    for (std::int64_t repeat = -1; repeat < benchmark_.repeats; ++repeat) {
      device_->copy(Lane::compute, buffers.out.data, buffers.in.data, buffers.in.bytes());
      const double seconds = timed_together(*device_, world_, [&] { operation.run(group, buffers); });
      if (repeat >= 0) times.push_back(seconds);
    }
    return median(times);
  }

  /// What goes from one process of a host to another is copied once at least, of the slowest rank; between
  /// GPUs the datasheet of their links.
  double limit(std::int64_t bytes) {
    if (device_->memory() != Memory::host) return datasheet_link_rate(device_->description());
    world_.barrier();
    double rate = measure_copy_bandwidth(*device_, 2 * bytes) / 2;
    world_.all_reduce(TensorView(&rate, DType::f64, {1}), ReduceOp::min);
    return rate;
  }

  const CommBenchmark& benchmark_;
  Communicator& world_;
  std::unique_ptr<Registry> registry_;
  Made<Device> device_;
  std::unique_ptr<Mesh> mesh_;
};

const Operation& operation_named(const std::string& name) {
  const auto* found = std::find_if(std::begin(kOperations), std::end(kOperations),
                                   [&](const auto& one) { return one.name == name; });
  CARAVAN_CHECK(found != std::end(kOperations), ConfigError,
                fmt::format("no operation '{}'. Known: {}.", name, fmt::join(comm_operations(), ", ")));
  return *found;
}

}  // namespace

std::span<const char* const> comm_operations() {
  static const auto kNames = [] {
    std::array<const char*, kNumOperations> names{};
    for (std::size_t at = 0; at < names.size(); ++at) names[at] = kOperations[at].name;
    return names;
  }();
  return kNames;
}

CommTimings time_comm(const CommBenchmark& benchmark, Communicator& world) {
  std::vector<const Operation*> operations;
  for (const std::string& name : benchmark.operations) operations.push_back(&operation_named(name));
  if (operations.empty())
    for (const Operation& operation : kOperations) operations.push_back(&operation);
  CARAVAN_CHECK(world.size() > 1, ConfigError,
                "bench comm on one rank (nothing travels). The same under mpirun -n 2?");
  Bench bench(benchmark, world);
  CommTimings timings{bench.device(), {}};
  for (const Operation* operation : operations)
    for (const std::int64_t bytes : benchmark.sizes) timings.timings.push_back(bench.time(*operation, bytes));
  return timings;
}

}  // namespace caravan::jobs
