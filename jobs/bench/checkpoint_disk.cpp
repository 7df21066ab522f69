#include "jobs/bench/checkpoint_disk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>

#include "caravan/check.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/checkpoint/sharded.hpp"
#include "io/checkpoint/snapshot.hpp"
#include "io/files/direct_file.hpp"
#include "jobs/bench/median.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/state/file_records.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;
using Seconds = std::vector<double>;

constexpr std::size_t kRawBlock = std::size_t{4} << 20;
constexpr std::int64_t kColumns = 2048;
constexpr std::size_t kTensorsALayer = 2;

/// Matrices and vectors as a model has them, of about `bytes` in all.
std::vector<io::TensorRecord> model_of(std::uint64_t bytes) {
  constexpr std::int64_t kRows = 3277;  // no multiple of anything
  std::vector<io::TensorRecord> tensors;
  std::uint64_t total = 0;
  for (int layer = 0; total < bytes; ++layer) {
    const auto left = static_cast<std::int64_t>((bytes - total) / (kColumns * sizeof(float)));
    const std::int64_t rows = std::min(kRows, left);
    tensors.push_back({fmt::format("/model/layers.{}.norm.weight", layer), DType::f32, {kColumns}});
    if (rows > 0)
      tensors.push_back({fmt::format("/model/layers.{}.w.weight", layer), DType::f32, {rows, kColumns}});
    total += static_cast<std::uint64_t>(std::max<std::int64_t>(rows, 1) + 1) * kColumns * sizeof(float);
  }
  return tensors;
}

/// Compresses nowhere: disks and drivers shorten zeros.
void fill_with_noise(const io::Snapshot& snapshot, std::uint64_t seed) {
  for (std::size_t piece = 0; piece < snapshot.pieces().size(); ++piece) {
    const TensorView view = snapshot.elements(piece);
    auto* words = view.as<std::uint32_t>();
    for (std::int64_t i = 0; i < view.count(); ++i) {
      seed ^= seed << 13;
      seed ^= seed >> 7;
      seed ^= seed << 17;
      words[i] = static_cast<std::uint32_t>(seed >> 32);
    }
  }
}

/// As much as a raw block. They stay ordinary where the system gives everybody huge ones.
std::byte* allocate_ordinary_pages() {
  void* pages = std::aligned_alloc(io::DirectFile::kPage, kRawBlock);
  if (!pages) throw std::bad_alloc();
  ::madvise(pages, kRawBlock, MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(pages);
}

double timed(Communicator& world, const std::function<void()>& action) {
  world.barrier();
  const auto start = std::chrono::steady_clock::now();
  action();
  world.barrier();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

using Actions = std::array<std::function<void()>, 3>;

/// Adds to `seconds` what each action took.
void time_in_turn(Communicator& world, int first, const Actions& actions, std::array<Seconds, 3>& seconds) {
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const std::size_t index = (static_cast<std::size_t>(first) + i) % actions.size();
    seconds[index].push_back(timed(world, actions[index]));
  }
}

DiskTiming::Way way_of(const std::array<Seconds, 3>& seconds) {
  return {median(seconds[0]), median(seconds[1]), median(seconds[2])};
}

class DiskRun {
 public:
  DiskRun(const DiskBenchmark& benchmark, Communicator& world)
      : world_(world),
        folder_((fs::path(benchmark.folder) / "caravan-bench-checkpoint").string()),
        tensors_(model_of(benchmark.bytes)),
        snapshot_(io::share_of(tensors_, world.rank(), world.size())),
        ordinary_pages_(allocate_ordinary_pages(), std::free) {
    fill_with_noise(snapshot_, 88172645463325252u + static_cast<std::uint64_t>(world.rank()));
    fill_with_noise(raw_block_, 88172645463325252u);
    std::memcpy(ordinary_pages_.get(), raw_block_.elements(0).data, kRawBlock);
    for (const io::TensorRecord& tensor : tensors_) bytes_ += tensor.bytes();
  }

  std::uint64_t bytes() const noexcept { return bytes_; }

  std::span<std::byte> huge_pages() const {
    return {static_cast<std::byte*>(raw_block_.elements(0).data), kRawBlock};
  }
  std::span<std::byte> ordinary_pages() const { return {ordinary_pages_.get(), kRawBlock}; }

  void raw_write(std::span<const std::byte> block) const {
    if (world_.rank() != 0) return;
    fs::create_directories(folder_);
    const io::File file(raw_path(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT);
    for (std::uint64_t at = 0; at < bytes_; at += kRawBlock) file.write_at(at, block);
    file.sync();
  }

  void raw_read(std::span<std::byte> block) const {
    if (world_.rank() != 0) return;
    const io::File file(raw_path(), O_RDONLY | O_DIRECT);
    for (std::uint64_t at = 0; at < bytes_; at += kRawBlock) file.read_at(at, block);
  }

  void write() {
    const io::CheckpointHead head{.step = 1, .creator = "caravan bench"};
    std::optional<io::StagingFolder> staging;
    if (world_.rank() == 0) staging.emplace(folder_, "step-00000001");
    const std::string path = broadcast_text(world_, staging ? staging->path() : "");
    const auto share = io::write_share(path, world_.rank(), world_.size(), head, snapshot_.pieces(),
                                       [&](std::size_t piece) { return snapshot_.elements(piece); });
    std::vector<io::FileRecord> shares = gather_records(world_, share);
    if (staging) io::publish(*staging, head, std::move(shares), nullptr);
  }

  /// Every rank takes whole layers in turn, which lie in the files of several writers.
  void read() {
    const auto reader =
        io::CheckpointReader::open(folder_ + "/step-00000001", io::Check::structure, io::Through::disk);
    for (std::size_t index = 0; index < tensors_.size(); ++index) {
      if (static_cast<int>(index / kTensorsALayer) % world_.size() != world_.rank()) continue;
      const auto count = static_cast<std::size_t>(tensors_[index].shape.count());
      if (values_.size() < count) values_.resize(count);
      reader.read(tensors_[index].name, TensorView(values_.data(), DType::f32, tensors_[index].shape));
    }
  }

  void forget_cached() const {
    if (world_.rank() != 0) return;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      const io::File file(entry.path().string(), O_RDONLY);
      ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }

  void remove() const {
    world_.barrier();
    if (world_.rank() == 0) fs::remove_all(folder_);
  }

 private:
  std::string raw_path() const { return folder_ + "/raw"; }

  Communicator& world_;
  std::string folder_;
  std::vector<io::TensorRecord> tensors_;
  io::Snapshot snapshot_;
  io::Snapshot raw_block_{{io::Piece::whole({"/model/raw", DType::f32, {kRawBlock / sizeof(float)}})}};
  std::unique_ptr<std::byte, decltype(&std::free)> ordinary_pages_;
  std::uint64_t bytes_ = 0;
  std::vector<float> values_;
};

}  // namespace

DiskTiming time_disk(const DiskBenchmark& benchmark, Communicator& world) {
  DiskRun run(benchmark, world);
  std::array<Seconds, 3> writes, reads;
  for (int repeat = 0; repeat < benchmark.repeats; ++repeat) {
    const Actions to_write{[&] { run.raw_write(run.ordinary_pages()); },
                           [&] { run.raw_write(run.huge_pages()); }, [&] { run.write(); }};
    const Actions to_read{[&] { run.raw_read(run.ordinary_pages()); },
                          [&] { run.raw_read(run.huge_pages()); }, [&] { run.read(); }};
    time_in_turn(world, repeat, to_write, writes);
    run.forget_cached();
    time_in_turn(world, repeat, to_read, reads);
  }
  run.remove();
  return {run.bytes(), way_of(writes), way_of(reads)};
}

}  // namespace caravan::jobs
