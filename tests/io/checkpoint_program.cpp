// checkpoint_program RUN STEP: writes a checkpoint of two shares as a job would, then keeps the newest two.
// Exit code 0, or 3 with the message.
#include <cstdio>
#include <cstdlib>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "tests/io/sample_checkpoint.hpp"

namespace {

using namespace caravan;

void write(const std::string& run, std::int64_t step) {
  test::Sample sample(step, 1 << 14);
  const io::RunLock lock(run, io::RunOwner::here());
  io::remove_stale(run);
  io::StagingFolder staging(run, io::step_folder(step));
  const std::vector<io::TensorRecord> tensors{{"/model/w.weight", DType::f32, {1 << 11, 8}},
                                              {"/optimizer/m/w.weight", DType::f32, {1 << 11, 8}}};
  std::vector<io::FileRecord> shares;
  for (int writer = 0; writer < 2; ++writer) {
    const auto pieces = io::share_of(tensors, writer, 2);
    shares.push_back(
        io::write_share(staging.path(), writer, 2, sample.head(), pieces, [&](std::size_t index) {
          const io::Piece& piece = pieces[index];
          auto& values = piece.tensor.name == "/model/w.weight" ? sample.weight : sample.moment;
          return TensorView(values.data(), DType::f32, {1 << 11, 8}).rows(piece.row, piece.row + piece.rows);
        }));
  }
  io::publish(staging, sample.head(), std::move(shares), &lock);
  io::prune(run, {.latest = 2});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    write(argv[1], std::atol(argv[2]));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  }
}
