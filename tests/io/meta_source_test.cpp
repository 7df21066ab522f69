#include "io/meta/meta_source.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "caravan/error.hpp"
#include "tests/io/meta_files.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Four ranks of one layer with two heads of keys: each stands on two ranks.
class RanksOfMeta : public ::testing::Test {
 protected:
  void SetUp() override {
    spill(folder_.file("params.json"),
          R"({"dim": 8, "n_layers": 1, "n_heads": 4, "n_kv_heads": 2, "head_dim": 2, "vocab_size": -1})");
    for (int rank = 0; rank < 4; ++rank) write(rank, tensors_of(rank));
  }
  static std::map<std::string, FilledTensor> tensors_of(int rank) {
    const auto of_rank = static_cast<float>(rank), of_pair = static_cast<float>(rank / 2);
    return {{"tok_embeddings.weight", {{3, 8}, of_rank}},
            {"norm.weight", {{8}, 1}},
            {"layers.0.attention.wq.weight", {{2, 8}, of_rank}},
            {"layers.0.attention.wk.weight", {{2, 8}, of_pair}},
            {"layers.0.attention.wo.weight", {{8, 2}, of_rank}}};
  }
  void write(int rank, const std::map<std::string, FilledTensor>& tensors) const {
    write_rank(folder_.path(), rank, tensors);
  }
  std::string refusal() const {
    return message_of<IoError>([&] { io::MetaSource source(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(RanksOfMeta, ComeTogether) {
  const io::MetaSource source(folder_.path());
  EXPECT_EQ(source.shape("tok_embeddings.weight"), (Shape{12, 8}));
  EXPECT_EQ(source.shape("layers.0.attention.wk.weight"), (Shape{4, 8}));
  std::vector<float> keys(32);
  source.read("layers.0.attention.wk.weight", TensorView(keys.data(), DType::f32, {4, 8}));
  EXPECT_EQ(std::count(keys.begin(), keys.begin() + 16, 0.f), 16);
  EXPECT_EQ(std::count(keys.begin() + 16, keys.end(), 1.f), 16);
}

TEST_F(RanksOfMeta, WhatOneOfThemLacksIsNamed) {
  for (const auto& [name, tensor] : tensors_of(0)) {
    for (int rank : {1, 2, 3}) {
      auto tensors = tensors_of(rank);
      tensors.erase(name);
      write(rank, tensors);
      EXPECT_THAT(refusal(), AllOf(HasSubstr("3 of 4 files"), HasSubstr("hold " + name))) << rank;
      write(rank, tensors_of(rank));
    }
  }
}

TEST_F(RanksOfMeta, WhatOnlyTheFirstHoldsIsNamed) {
  for (int rank : {1, 2, 3}) {
    auto tensors = tensors_of(rank);
    tensors.erase("tok_embeddings.weight");
    write(rank, tensors);
  }
  EXPECT_THAT(refusal(), HasSubstr("1 of 4 files"));
}

TEST_F(RanksOfMeta, HeadsThatStandOnTwoRanksMustBeTheSame) {
  auto tensors = tensors_of(3);
  tensors["layers.0.attention.wk.weight"].value = 7;
  write(3, tensors);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("consolidated.03.pth holds another layers.0.attention.wk.weight"),
                               HasSubstr("consolidated.02.pth")));
}

TEST_F(RanksOfMeta, WhatIsLeftOutIsListed) {
  auto tensors = tensors_of(1);
  tensors["rope.freqs"] = {{4}, 0};
  tensors["layers.0.unheard_of"] = {{4}, 0};
  write(1, tensors);
  const io::MetaSource source(folder_.path());
  EXPECT_THAT(source.skipped(), ElementsAre("rope.freqs"));
  EXPECT_THAT(source.names(), ::testing::Contains("layers.0.unheard_of"));
}

}  // namespace
}  // namespace caravan::test
