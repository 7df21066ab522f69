// checkpoint_program RUN STEP shards|one: writes a checkpoint of three shares as a job would, then keeps the
// newest two. Exit code 0, or 3 with the message.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/checkpoint/one_file.hpp"
#include "tests/io/sample_checkpoint.hpp"

namespace {

using namespace caravan;

constexpr std::int64_t kRows = test::kSharedElements / 8;
constexpr int kWriters = 3;

const std::vector<io::TensorRecord> kTensors{{"/model/w.weight", DType::f32, {kRows, 8}},
                                             {"/optimizer/m/w.weight", DType::f32, {kRows, 8}}};

void write(const std::string& run, std::int64_t step, bool one_file) {
  test::Sample sample(step, kRows * 8);
  const io::RunLock lock(run, io::RunOwner::here());
  io::remove_stale(run);
  io::StagingFolder staging(run, io::step_folder(step));
  std::optional<io::FileRecord> prepared;
  if (one_file) prepared = io::prepare_file(staging.path(), sample.head(), kTensors);
  std::vector<io::FileRecord> shares;
  for (int writer = 0; writer < kWriters; ++writer) {
    const auto pieces = io::share_of(kTensors, writer, kWriters);
    const auto elements = [&](std::size_t index) {
      const io::Piece& piece = pieces[index];
      auto& values = piece.tensor.name == "/model/w.weight" ? sample.weight : sample.moment;
      return block_of(TensorView(values.data(), DType::f32, {kRows, 8}), piece.box);
    };
    shares.push_back(
        prepared ? io::fill_file(staging.path(), *prepared, pieces, elements)
                 : io::write_share(staging.path(), writer, kWriters, sample.head(), pieces, elements));
  }
  if (prepared) shares = {io::join(*prepared, shares)};
  io::publish(staging, sample.head(), std::move(shares), &lock);
  io::prune(run, {.latest = 2}, step);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    write(argv[1], std::atol(argv[2]), std::string_view(argv[3]) == "one");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
