#include "io/checkpoint/stacked_layers.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>

#include "tests/io/temporary_folder.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(StackedLayers, AreNamedByTheirLayersAndFoundAgain) {
  const std::vector<std::pair<std::vector<std::int64_t>, std::string>> cases{{{0, 1, 2}, "layers.0:3.a.b"},
                                                                             {{1, 3, 5}, "layers.1:6:2.a.b"},
                                                                             {{0, 1, 5}, "layers.0,1,5.a.b"},
                                                                             {{7}, "layers.7:8.a.b"}};
  for (const auto& [layers, name] : cases) {
    EXPECT_EQ(io::stacked_name(layers, "a.b"), name);
    const auto found =
        io::layers_of_stacks({{"/model/" + name, Shape{static_cast<std::int64_t>(layers.size()), 2}}});
    ASSERT_EQ(found.size(), layers.size()) << name;
    for (std::size_t slot = 0; slot < layers.size(); ++slot) {
      const auto layer = found.find("/model/layers." + std::to_string(layers[slot]) + ".a.b");
      ASSERT_NE(layer, found.end()) << name;
      EXPECT_EQ(layer->second.slot, static_cast<std::int64_t>(slot));
      EXPECT_EQ(layer->second.slots, static_cast<std::int64_t>(layers.size()));
    }
  }
}

TEST(StackedLayers, OtherNamesAreNone) {
  for (const char* name :
       {"layers.3.a", "layers.a", "layers.:3.a", "layers.3:1.a", "layers.0:9:0.a", "layers.1,1.a",
        "layers.2,1.a", "layers.0:99999999999999999999.a", "layers.0:4.", "layers.0:4", "norm.weight"})
    EXPECT_THAT(io::layers_of_stacks({{name, Shape{4, 2}}}), IsEmpty()) << name;
}

TEST(StackedLayers, TheSameLayerTwiceIsRefused) {
  EXPECT_THAT(message_of<IoError>([] {
                io::layers_of_stacks({{"layers.0:4.a", Shape{4, 2}}, {"layers.3.a", Shape{2}}});
              }),
              HasSubstr("layers.0:4.a holds layers.3.a"));
  EXPECT_THAT(message_of<IoError>([] {
                io::layers_of_stacks({{"layers.0:4.a", Shape{4, 2}}, {"layers.2,5.a", Shape{2, 2}}});
              }),
              HasSubstr("stands elsewhere too"));
}

TEST(StackedLayers, AStackHasAsManyLayersAsItsNameSays) {
  const io::StackedLayer layer{"layers.0:4.a", 1, 4};
  EXPECT_EQ(io::shape_of_layer({4, 2, 3}, layer), (Shape{2, 3}));
  EXPECT_THAT(message_of<IoError>([&] {
                io::shape_of_layer({3, 2, 3}, layer);
              }),
              HasSubstr("its name says 4 layers"));
  EXPECT_THAT(message_of<IoError>([] {
                io::layers_of_stacks({{"layers.0:9999.a", Shape{3, 2}}});
              }),
              HasSubstr("its name says 9999 layers"));
}

}  // namespace
}  // namespace caravan::test
