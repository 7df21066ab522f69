#include "jobs/plan/memory_fit.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "caravan/random.hpp"
#include "io/files/host_name.hpp"
#include "jobs/plan/paper_setup.hpp"
#include "jobs/setup/host_memory.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {
namespace {

std::string text_of(std::size_t bytes) {
  return bytes_text(static_cast<double>(bytes));
}

/// "activations kept 3.00 GiB, optimizer 1.00 GiB, …", the largest first.
std::string largest_items(const MemoryPlan& plan) {
  constexpr std::size_t kShown = 3;
  std::vector<MemoryPlan::Item> items = plan.items;
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  items.resize(std::min(items.size(), kShown));
  std::string text;
  for (const auto& item : items)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", item.what, text_of(item.bytes));
  return text;
}

/// The keys that memory grows with, as the job has them.
std::string sizes_of(const Job& job) {
  std::string text;
  for (const char* key : {"layers", "dim", "vocab_size", "experts"}) {
    if (const Config& node = job.model.find(key); node.kind() == Config::Kind::scalar)
      text += fmt::format("model.{}={}, ", key, node.text());
  }
  return text + fmt::format("train.local_batch_size={}, train.sequence_length={}", job.train.local_batch_size,
                            job.train.sequence_length);
}

/// The most that any rank of the job with other values would hold, on `ranks` ranks of this device; nothing
/// where such a job would be refused.
std::optional<std::size_t> bytes_with(TrainSetup& setup, const std::vector<std::string>& changes,
                                      std::int64_t ranks) {
  std::size_t most = 0;
  try {
    const Job job = changed_job(setup, changes);
    const MeshLayout layout = mesh_layout(job, static_cast<int>(ranks));
    for (const int rank : layout.group(0, MeshAxis::pp))
      most = std::max(most, PaperSetup(job, rank, layout.ranks(), setup.device()).setup().memory().total());
  } catch (const Error&) {
    return std::nullopt;
  }
  return most;
}

/// Memory that a rank may fill, and what to call it. A host that promises more than it has kills later: its
/// memory is the limit, and less that is available now is said, since it may come back.
struct Room {
  std::size_t most;
  std::string text;
  std::int64_t sharers = 1;  ///< ranks that fill the same memory
};

/// Changes of the job that let it fit, each as it would be typed, with what a rank takes then. Only what such
/// a job would not be refused for.
class Advice {
 public:
  Advice(TrainSetup& setup, const Room& room)
      : setup_(setup),
        room_(room.most),
        sharers_(room.sharers),
        parameters_(setup.model()
                        .parameters()
                        .memory(ParameterStore::Content::weights_and_gradients, setup.slots().size())
                        .total()) {}

  std::vector<std::string> ways() {
    // What a budget keeps is measured, which this is not the place for.
    const bool is_planned = setup_.job().train.recompute.kind != RecomputeRule::Kind::budget;
    if (parameters_ <= room_) {
      if (is_planned) smaller_batch({});
      if (!fits({kFull}, ranks())) smaller_batch({kFull});
    }
    const std::vector<std::string> planned =
        is_planned ? std::vector<std::string>{} : std::vector<std::string>{kFull};
    more_shards(planned);
    more_stages(planned);
    return ways_;
  }

 private:
  static constexpr const char* kFull = "train.recompute=full";

  std::int64_t ranks() { return setup_.mesh().layout().ranks(); }
  std::int64_t pipeline_ranks() { return setup_.mesh().degree(MeshAxis::pp); }

  /// A model of a thousand layers takes its time on paper, and whoever waits for a refusal should not.
  bool affords(std::int64_t pipeline) {
    left_ -= pipeline * std::ssize(setup_.whole_model().model().layers());
    return left_ >= 0;
  }

  /// Adds the way when it is one.
  bool fits(const std::vector<std::string>& changes, std::int64_t ranks) {
    return fits(changes, ranks, pipeline_ranks());
  }
  bool fits(const std::vector<std::string>& changes, std::int64_t ranks, std::int64_t pipeline) {
    if (!affords(pipeline)) return false;
    const auto bytes = bytes_with(setup_, changes, ranks);
    if (!bytes || *bytes > room_) return false;
    ways_.push_back(
        fmt::format("{}{} takes {} a rank", fmt::join(changes, " "), where(ranks), text_of(*bytes)));
    return true;
  }
  /// More ranks that filled this machine's memory would have no more room together: they are on others.
  std::string where(std::int64_t ranks) {
    if (ranks == this->ranks()) return "";
    if (setup_.device().memory() != Memory::host) return fmt::format(" on {} ranks", ranks);
    return fmt::format(" on {} ranks, {} on a machine,", ranks, sharers_);
  }

  /// The largest micro-batch below the job's, halved and halved again.
  void smaller_batch(std::vector<std::string> changes) {
    changes.insert(changes.begin(), "");
    for (std::int64_t batch = setup_.shape().sequences / 2; batch >= 1; batch /= 2) {
      changes[0] = fmt::format("train.local_batch_size={}", batch);
      if (fits(changes, ranks())) return;
    }
  }

  /// The fewest pipeline ranks, doubled and doubled again.
  void more_stages(std::vector<std::string> changes) {
    constexpr std::int64_t kMost = 64;
    const std::int64_t now = pipeline_ranks();
    changes.insert(changes.begin(), "");
    for (std::int64_t pipeline = 2 * now; pipeline <= kMost; pipeline *= 2) {
      if (parameters_ / static_cast<std::size_t>(pipeline / now) > room_) continue;
      changes[0] = fmt::format("parallel.pipeline={}", pipeline);
      if (fits(changes, ranks() / now * pipeline, pipeline)) return;
    }
  }

  /// The fewest shards of the ranks that there are; else of more ranks, doubled and doubled again.
  void more_shards(std::vector<std::string> changes) {
    constexpr std::int64_t kMost = 1024;
    const std::int64_t now = setup_.layout().degree(MeshAxis::fsdp), data = ranks() / pipeline_ranks();
    changes.insert(changes.begin(), {"", "parallel.data_replicate=-1"});
    if (setup_.job().parallel.divide_optimizer == "true")
      changes.emplace_back("parallel.divide_optimizer=auto");
    const auto fits_with = [&](std::int64_t shards, std::int64_t ranks) {
      changes[0] = fmt::format("parallel.data_shard={}", shards);
      return fits(changes, ranks);
    };
    for (std::int64_t shards = now + 1; shards <= data; ++shards) {
      if (data % shards == 0 && fits_with(shards, ranks())) return;
    }
    for (std::int64_t shards = 2 * data; shards <= kMost; shards *= 2) {
      if (parameters_ / static_cast<std::size_t>(shards / now) > room_) continue;
      if (fits_with(shards, pipeline_ranks() * shards)) return;
    }
  }

  TrainSetup& setup_;
  std::size_t room_;
  std::int64_t sharers_;
  std::size_t parameters_;
  std::int64_t left_ = 16'000;  // layers to be made on paper
  std::vector<std::string> ways_;
};

/// The ranks of one machine, and what they need together.
struct Neighbours {
  std::int64_t ranks = 1, bytes = 0;
};

/// [every rank]
Neighbours on_this_machine(Communicator& world, std::size_t needed) {
  const auto machine = static_cast<int>(hash_name(io::host_name("")) & 0x7fffffffu);
  const auto ranks = world.split(machine, world.rank(), "machine");
  std::int64_t sums[2] = {1, static_cast<std::int64_t>(needed)};
  ranks->all_reduce(TensorView(sums, DType::i64, {2}), ReduceOp::sum);
  return {sums[0], sums[1]};
}

/// What a rank may fill of a machine that its neighbours fill too.
Room room_on_host(const HostMemory& host, std::size_t needed, const Neighbours& all) {
  const auto bytes = static_cast<std::size_t>(all.bytes);
  const std::string who = all.ranks == 1 ? "this rank needs" : fmt::format("{} ranks need", all.ranks);
  if (bytes > host.available && bytes <= host.total)
    log_warning(fmt::format("{} {} of memory, and {} of {} are available now: {} may be killed", who,
                            text_of(bytes), text_of(host.available), text_of(host.total),
                            all.ranks == 1 ? "it" : "they"));
  const double share = static_cast<double>(host.total) / static_cast<double>(bytes);
  return {share >= 1 ? needed : static_cast<std::size_t>(share * static_cast<double>(needed)),
          fmt::format("of memory{}, and this machine has {}",
                      all.ranks == 1 ? "" : fmt::format(", the {} here {}", all.ranks, text_of(bytes)),
                      text_of(host.total)),
          all.ranks};
}

std::optional<Room> room_of(const Device& device, std::size_t needed, Communicator& world) {
  if (const auto use = device.memory_use())
    return Room{use->free, fmt::format("of device memory, and {} of {} are free", text_of(use->free),
                                       text_of(use->total))};
  if (device.memory() != Memory::host) return std::nullopt;
  const auto host = host_memory();
  if (!host) return std::nullopt;
  return room_on_host(*host, needed, on_this_machine(world, needed));
}

}  // namespace

void check_memory_fits(TrainSetup& setup) {
  const MemoryPlan plan = setup.memory();
  const auto room = room_of(setup.device(), plan.total(), setup.world());
  if (!room || plan.total() <= room->most) return;
  const std::vector<std::string> ways = Advice(setup, *room).ways();
  throw DeviceError(fmt::format("this rank needs {} {} ({}; with {}). {}?", text_of(plan.total()), room->text,
                                largest_items(plan), sizes_of(setup.job()),
                                ways.empty() ? "A smaller model, or devices with more memory"
                                             : fmt::format("{}", fmt::join(ways, "; "))));
}

}  // namespace caravan::jobs
