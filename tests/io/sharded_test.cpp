#include "io/checkpoint/sharded.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <future>
#include <random>
#include <tuple>

#include "caravan/error.hpp"
#include "io/checkpoint/one_file.hpp"
#include "io/checkpoint/reader.hpp"
#include "io/checkpoint/snapshot.hpp"
#include "tests/io/temporary_folder.hpp"

// Several writers, one checkpoint: every row is stored once, and readers see tensors.
namespace caravan::test {
namespace {

using io::Piece;
using io::TensorRecord;
using ::testing::HasSubstr;

const std::vector<TensorRecord> kTensors{
    {"/model/a", DType::f32, {7, 5}},       {"/model/large", DType::f32, {33, 64, 79}},
    {"/model/one", DType::f32, {1}},        {"/state/scalar", DType::f32, {}},
    {"/state/empty", DType::f32, {0, 3}},   {"/optimizer/m/a", DType::f32, {7, 5}},
    {"/optimizer/m/b", DType::f32, {3000}},
};

/// Element i of a tensor: tells tensors and places apart.
float value(const TensorRecord& tensor, std::int64_t element) {
  return static_cast<float>(tensor.name.size() * 1000) + static_cast<float>(element % 997) * 0.5f;
}

std::vector<float> values_of(const Piece& piece) {
  std::vector<float> values(static_cast<std::size_t>(piece.shape().count()));
  for_each_common_run(Box::whole(piece.tensor.shape), piece.box,
                      [&](std::int64_t in_tensor, std::int64_t in_piece, std::int64_t count) {
                        for (std::int64_t i = 0; i < count; ++i)
                          values[static_cast<std::size_t>(in_piece + i)] = value(piece.tensor, in_tensor + i);
                      });
  return values;
}

io::CheckpointHead head_of(int writers) {
  return {.step = writers,
          .tokens_seen = 5,
          .job_yaml = "seed: 1\n",
          .layout = "test",
          .creator = "caravan test",
          .values = {{"/state/next_sample", std::int64_t{9}}}};
}

io::FileRecord sent(const io::FileRecord& record) {
  return io::file_record_from(io::to_text(record));
}

/// How writers divide each tensor: by rows of all, by equal ranges of its elements (which are several boxes),
/// or by its last axis (whose boxes lie apart in the tensor).
enum class Division { rows, ranges, columns };

std::vector<Piece> pieces_of(Division division, int writer, int writers) {
  if (division == Division::rows) return io::share_of(kTensors, writer, writers);
  std::vector<Piece> pieces;
  for (const TensorRecord& tensor : kTensors) {
    const int last = tensor.shape.rank() - 1;
    const std::int64_t all =
        division == Division::ranges || last < 0 ? tensor.shape.count() : tensor.shape[last];
    const std::int64_t begin = all * writer / writers, end = all * (writer + 1) / writers;
    if (tensor.shape.count() == 0 && writer == 0) pieces.push_back(Piece::whole(tensor));
    if (tensor.shape.count() == 0 || begin == end) continue;
    Box box = Box::whole(tensor.shape);
    if (last >= 0 && division == Division::columns) {
      box.origin[static_cast<std::size_t>(last)] = begin;
      box.extents.set(last, end - begin);
      pieces.push_back({tensor, box});
      continue;
    }
    for (const Box& part : boxes_of_range(tensor.shape, begin, end)) pieces.push_back({tensor, part});
  }
  return pieces;
}

/// Calls `store(writer, pieces, elements)` for every writer that has something, all at the same time. The
/// cuts between writers lie within pages.
template <class Store>
std::vector<io::FileRecord> shares_of(int writers, Store&& store, Division division = Division::rows) {
  std::vector<std::future<io::FileRecord>> running;
  for (int writer = 0; writer < writers; ++writer) {
    const auto pieces = pieces_of(division, writer, writers);
    if (pieces.empty()) continue;
    running.push_back(std::async(std::launch::async, [&store, writer, pieces] {
      const io::Snapshot snapshot(pieces);
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const auto values = values_of(pieces[i]);
        std::copy(values.begin(), values.end(), snapshot.elements(i).as<float>());
      }
      return sent(store(writer, pieces, [&](std::size_t piece) { return snapshot.elements(piece); }));
    }));
  }
  std::vector<io::FileRecord> shares;
  for (auto& share : running) shares.push_back(share.get());
  return shares;
}

std::string write_shards(const std::string& parent, int writers, Division division) {
  const io::CheckpointHead head = head_of(writers);
  io::StagingFolder staging(parent, fmt::format("step-{:08d}", writers));
  auto shares = shares_of(
      writers,
      [&](int writer, const auto& pieces, const io::PieceSource& elements) {
        return io::write_share(staging.path(), writer, writers, head, pieces, elements);
      },
      division);
  return io::publish(staging, head, std::move(shares), nullptr);
}

std::string write_one(const std::string& parent, int writers, Division division) {
  const io::CheckpointHead head = head_of(writers);
  io::StagingFolder staging(parent, fmt::format("step-{:08d}", writers));
  const auto prepared = sent(io::prepare_file(staging.path(), head, kTensors));
  const auto parts = shares_of(
      writers,
      [&](int, const auto& pieces, const io::PieceSource& elements) {
        return io::fill_file(staging.path(), prepared, pieces, elements);
      },
      division);
  return io::publish(staging, head, {io::join(prepared, parts)}, nullptr);
}

enum class Files { shards, one };
using Case = std::tuple<int, Files, io::Through, Division>;

class Sharded : public ::testing::TestWithParam<Case> {
 protected:
  int writers() const { return std::get<0>(GetParam()); }
  Division division() const { return std::get<3>(GetParam()); }
  std::string write() const {
    return std::get<1>(GetParam()) == Files::one ? write_one(folder_.path(), writers(), division())
                                                 : write_shards(folder_.path(), writers(), division());
  }
  io::CheckpointReader open(io::Check check) const {
    return io::CheckpointReader::open(write(), check, std::get<2>(GetParam()));
  }
  TemporaryFolder folder_;
};

TEST_P(Sharded, SharesAreEveryRowOnceAndEqualInBytes) {
  std::int64_t total = 0, most = 0;
  for (const TensorRecord& tensor : kTensors) total += static_cast<std::int64_t>(tensor.bytes());
  std::map<std::string, std::int64_t> next;
  for (int writer = 0; writer < writers(); ++writer) {
    std::int64_t bytes = 0;
    for (const Piece& piece : io::share_of(kTensors, writer, writers())) {
      EXPECT_EQ(piece.box.begin(0), next[piece.tensor.name]) << piece.tensor.name;
      next[piece.tensor.name] += piece.shape().rank() == 0 ? 1 : piece.shape()[0];
      bytes += static_cast<std::int64_t>(piece.bytes());
    }
    most = std::max(most, bytes);
  }
  for (const TensorRecord& tensor : kTensors)
    EXPECT_EQ(next[tensor.name], tensor.shape.rank() == 0 ? 1 : tensor.shape[0]);
  EXPECT_LE(most, total / writers() + 2 * 64 * 79 * 4);
}

TEST_P(Sharded, SharesAreCountedWithoutMakingThem) {
  std::vector<Piece> held;
  for (const TensorRecord& tensor : kTensors) held.push_back(Piece::whole(tensor));
  for (int writer = 0; writer < writers(); ++writer) {
    std::vector<std::uint64_t> bytes;
    for (const io::Share& share : io::divide(held, writer, writers())) bytes.push_back(share.piece.bytes());
    EXPECT_EQ(io::bytes_of_shares(held, writer, writers()), bytes) << writer;
  }
}

TEST_P(Sharded, ReadersSeeWholeTensors) {
  const auto reader = open(io::Check::everything);
  ASSERT_EQ(reader.tensors().size(), kTensors.size());
  EXPECT_EQ(std::get<std::int64_t>(reader.attribute("/state/next_sample")), 9);
  EXPECT_EQ(reader.job_yaml(), "seed: 1\n");
  EXPECT_THAT(reader.attribute_names(), ::testing::ElementsAre("/state/next_sample"));
  for (const TensorRecord& tensor : kTensors) {
    const auto wanted = values_of(Piece::whole(tensor));
    std::vector<float> read(wanted.size(), -1);
    reader.read(tensor.name, TensorView(read.data(), DType::f32, tensor.shape));
    EXPECT_EQ(read, wanted) << tensor.name;
  }
}

TEST_P(Sharded, AnyBlockIsReadFromTheFilesItLiesIn) {
  const auto reader = open(io::Check::structure);
  const TensorRecord& large = kTensors[1];
  std::mt19937 random(7);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<unsigned>(n));
  };
  for (int round = 0; round < 50; ++round) {
    std::array<std::int64_t, 4> origin{};
    Shape shape;
    for (int axis = 0; axis < 3; ++axis) {
      const bool is_whole = random() % 3 == 0;
      origin[static_cast<std::size_t>(axis)] = is_whole ? 0 : below(large.shape[axis]);
      shape.append(is_whole ? large.shape[axis]
                            : 1 + below(large.shape[axis] - origin[static_cast<std::size_t>(axis)]));
    }
    std::vector<float> read(static_cast<std::size_t>(shape.count()));
    reader.read_block(large.name, origin, TensorView(read.data(), DType::f32, shape));
    std::size_t at = 0;
    for (std::int64_t i = 0; i < shape[0]; ++i) {
      for (std::int64_t j = 0; j < shape[1]; ++j) {
        for (std::int64_t k = 0; k < shape[2]; ++k, ++at)
          ASSERT_EQ(read[at], value(large, ((origin[0] + i) * 64 + origin[1] + j) * 79 + origin[2] + k));
      }
    }
  }
}

TEST_P(Sharded, OtherProgramsSeeTensorsFromAnyFolder) {
  const std::string path = write();
  const std::string script = folder_.file("read.py");
  spill(script,
        "import sys, h5py\n"
        "f = h5py.File(sys.argv[1], 'r')\n"
        "a = f['/model/large'][...]\n"
        "a = a.astype('f8')\n"
        "print(a.shape, float((a.ravel() * range(a.size)).sum()), float(f['/state/scalar'][()]), "
        "f['/state'].attrs['next_sample'], "
        "f.attrs['job'])\n");
  double sum = 0, index = 0;
  for (float element : values_of(Piece::whole(kTensors[1]))) sum += index++ * element;
  const std::string command = fmt::format(
      "cd / && /usr/bin/python3 -c 'import h5py' 2>/dev/null && "
      "/usr/bin/python3 {} {}/checkpoint.h5 2>&1 || echo no h5py",
      script, path);
  FILE* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> text{};
  const std::size_t got = std::fread(text.data(), 1, text.size() - 1, pipe);
  ::pclose(pipe);
  const std::string out(text.data(), got);
  if (out == "no h5py\n") GTEST_SKIP() << "python3-h5py is not installed";
  EXPECT_EQ(out.substr(0, 13), "(33, 64, 79) ");
  EXPECT_NEAR(std::stod(out.substr(13)), sum, sum * 1e-9) << out;
  EXPECT_THAT(out, HasSubstr(" 13000.0 9 seed: 1"));
}

INSTANTIATE_TEST_SUITE_P(Writers, Sharded,
                         ::testing::Combine(::testing::Values(1, 2, 3, 8, 40),
                                            ::testing::Values(Files::shards, Files::one),
                                            ::testing::Values(io::Through::page_cache, io::Through::disk),
                                            ::testing::Values(Division::rows)));
INSTANTIATE_TEST_SUITE_P(Boxes, Sharded,
                         ::testing::Combine(::testing::Values(2, 3, 8, 40),
                                            ::testing::Values(Files::shards, Files::one),
                                            ::testing::Values(io::Through::page_cache),
                                            ::testing::Values(Division::ranges, Division::columns)));

TEST(OneFile, RowsThatNobodyWroteAreMissed) {
  TemporaryFolder folder;
  io::StagingFolder staging(folder.path(), "step-00000001");
  const auto prepared = io::prepare_file(staging.path(), head_of(2), kTensors);
  auto parts = shares_of(2, [&](int, const auto& pieces, const io::PieceSource& elements) {
    return io::fill_file(staging.path(), prepared, pieces, elements);
  });
  parts.pop_back();
  EXPECT_THAT(message_of<IoError>([&] { io::join(prepared, parts); }), HasSubstr("is in no file"));
  EXPECT_THAT(message_of<IoError>([&] { io::join(prepared, {}); }),
              HasSubstr("checkpoint.h5 has places for 7 tensors, of which the ranks wrote 0"));
}

}  // namespace
}  // namespace caravan::test
