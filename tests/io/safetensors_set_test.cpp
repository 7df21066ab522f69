#include "io/safetensors/set.hpp"
#include "io/safetensors/writer.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using io::SafetensorsSet;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_shard(const std::string& path, const std::vector<std::string>& names) {
  static float value = 3;
  io::SafetensorsWriter writer(path);
  for (const auto& name : names) writer.add(name, TensorView(&value, DType::f32, {1}));
  writer.commit();
}

class ShardedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    write_shard(folder_.file("m-1.safetensors"), {"a", "c"});
    write_shard(folder_.file("m-2.safetensors"), {"b"});
  }
  void index(const std::string& map) {
    spill(folder_.file("model.safetensors.index.json"),
          R"({"metadata":{"total_size":12},"weight_map":)" + map + "}");
  }
  std::string refusal() {
    return message_of<IoError>([&] { SafetensorsSet set(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(ShardedFolder, IsReadAsOne) {
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"})");
  const SafetensorsSet set(folder_.path());
  EXPECT_THAT(set.names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(set.file_of("b").path(), folder_.file("m-2.safetensors"));
  EXPECT_EQ(set.file_of("c").read_as_f32("c").front(), 3.0f);
}

TEST_F(ShardedFolder, TheShardsCountWhereTheIndexSaysSomethingElse) {
  const std::pair<const char*, const char*> maps[] = {
      {R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"})", "about 'b' and 1 more"},
      {R"({"a":"m-1.safetensors","b":"m-2.safetensors"})", "about 'c'; the shards count"},
      {R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors","d":"m-1.safetensors"})",
       "about 'd'; the shards count"},
  };
  for (const auto& [map, said] : maps) {
    index(map);
    const SafetensorsSet set(folder_.path());
    EXPECT_THAT(set.names(), ElementsAre("a", "b", "c"));
    EXPECT_THAT(set.warnings(), ElementsAre(HasSubstr(said)));
  }
}

TEST_F(ShardedFolder, ASingleFileCountsBesideAnIndex) {
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"})");
  write_shard(folder_.file("model.safetensors"), {"a", "x"});
  const SafetensorsSet set(folder_.path());
  EXPECT_THAT(set.names(), ElementsAre("a", "x"));
  EXPECT_THAT(set.warnings(), ElementsAre(folder_.file("model.safetensors") + " stands beside " +
                                          folder_.file("model.safetensors.index.json") +
                                          "; the single file is read, as in transformers"));
}

TEST_F(ShardedFolder, AMissingShardIsNamed) {
  index(R"({"a":"m-1.safetensors","b":"m-3.safetensors"})");
  EXPECT_THAT(refusal(), HasSubstr("m-3.safetensors (No such file or directory)"));
}

TEST_F(ShardedFolder, AShardOutsideTheFolderIsRefused) {
  index(R"({"a":"../m-1.safetensors"})");
  EXPECT_THAT(refusal(), HasSubstr("names the shard '../m-1.safetensors' (only a file name"));
}

TEST_F(ShardedFolder, OfATensorInTwoShardsTheLastCounts) {
  write_shard(folder_.file("m-2.safetensors"), {"b", "a"});
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"})");
  const SafetensorsSet set(folder_.path());
  EXPECT_EQ(set.file_of("a").path(), folder_.file("m-2.safetensors"));
  EXPECT_THAT(set.warnings(), Contains(HasSubstr("m-2.safetensors holds 'a', as a shard before it does")));
}

TEST(SafetensorsSetOfAFolder, NeedsAModel) {
  TemporaryFolder folder;
  EXPECT_THAT(message_of<IoError>([&] { SafetensorsSet set(folder.path()); }),
              HasSubstr("has neither model.safetensors nor model.safetensors.index.json"));
  write_shard(folder.file("model.safetensors"), {"x"});
  EXPECT_TRUE(SafetensorsSet(folder.path()).has("x"));
}

}  // namespace
}  // namespace caravan::test
