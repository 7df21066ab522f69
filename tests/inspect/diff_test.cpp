#include "io/files/sandbox.hpp"
#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Diff : public InspectTest {
 protected:
  /// A checkpoint whose weight starts with `first`.
  std::string written(const std::string& name, float first) const {
    return SmallCheckpoint(file(name), 1)
        .add("/model/w.weight", {first, 2, 3, 4}, {2, 2})
        .add("/state/next_sample", std::int64_t{7})
        .commit();
  }
};

TEST_F(Diff, OfTheSameIsZero) {
  const Outcome outcome = inspect({"--diff", written("a", 1), written("b", 1)});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("the same: 1 tensor"));
}

TEST_F(Diff, OfChangedValuesIsOneAndSaysHowMuch) {
  const std::string a = written("a", 1), b = written("b", 1.5f);
  const Outcome outcome = inspect({a, b, "--diff"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("[0, 0]"));
  const json shown = inspect_json({a, b, "--diff"}, 1);
  EXPECT_EQ(shown["same"], false);
  EXPECT_EQ(shown["differences"][0]["changed"], 1);
  EXPECT_EQ(shown["differences"][0]["largest"], 0.5);
  EXPECT_EQ(inspect({a, b, "--diff", "--atol", "0.5"}).code, 0);
  EXPECT_EQ(inspect({a, b, "--diff", "--rtol", "0.3"}).code, 1);
  EXPECT_EQ(inspect({a, b, "--diff", "--rtol", "0.34"}).code, 0);
}

TEST_F(Diff, NamesWhatOneLacksAndOtherShapesAndTypes) {
  const std::string a = SmallCheckpoint(file("a"), 1)
                            .add("/model/gone.weight", {1}, {1})
                            .add("/model/shape.weight", {1, 2}, {2})
                            .add("/state/next_sample", std::int64_t{7})
                            .commit();
  const std::string b = SmallCheckpoint(file("b"), 1)
                            .add("/model/new.weight", {1}, {1})
                            .add("/model/shape.weight", {1, 2}, {1, 2})
                            .add("/state/next_sample", std::int64_t{8})
                            .commit();
  const json differences = inspect_json({"--diff", a, b}, 1)["differences"];
  ASSERT_EQ(differences.size(), 4u);
  EXPECT_EQ(differences[0], (json{{"name", "/model/gone.weight"}, {"difference", "only in A"}}));
  EXPECT_EQ(differences[1], (json{{"name", "/model/new.weight"}, {"difference", "only in B"}}));
  EXPECT_EQ(differences[2]["difference"], "shape [2] and [1, 2]");
  EXPECT_EQ(differences[3], (json{{"name", "/state/next_sample"}, {"difference", "7 and 8"}}));
}

TEST_F(Diff, AnotherTypeIsADifferenceThoughValuesAreNot) {
  const std::string a = written("a", 1);
  io::CheckpointWriter writer(file("b") + "/checkpoints", io::CheckpointHead{.step = 1}, 0);
  std::vector<std::uint16_t> halves = {0x3F80, 0x4000, 0x4040, 0x4080};  // 1, 2, 3, 4 as bf16
  writer.tensor("/model/w.weight", TensorView(halves.data(), DType::bf16, {2, 2}));
  writer.attribute("/state/next_sample", std::int64_t{7});
  const json differences = inspect_json({"--diff", a, writer.commit()}, 1)["differences"];
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0]["difference"], "type f32 and bf16");
  EXPECT_EQ(differences[0]["changed"], 0);
}

TEST_F(Diff, TakesForeignFilesToo) {
  if (!io::has_sandbox()) GTEST_SKIP() << "built without libseccomp";
  const std::string a = written("a", 1);
  std::filesystem::copy(a + "/checkpoint.h5", file("x.h5"));
  EXPECT_EQ(inspect({"--diff", a, file("x.h5")}).code, 0);
  EXPECT_EQ(inspect({"--diff", file("x.h5"), written("b", 9)}).code, 1);
}

TEST_F(Diff, OfWhatCannotBeComparedIsTwoOrThree) {
  const std::string a = written("a", 1);
  EXPECT_EQ(inspect({"--diff", a}).code, 2);
  EXPECT_EQ(inspect({a, a}).code, 2);
  EXPECT_EQ(inspect({"--diff", a, a, "--tensors", "nothing*"}).code, 2);
  EXPECT_EQ(inspect({"--diff", a, a, "--rtol", "-1"}).code, 2);
  EXPECT_EQ(inspect({"--diff", a, "/nowhere"}).code, 3);
}

}  // namespace
}  // namespace caravan::test
