#include "tests/io/hf_config_cases.hpp"

// Rotation: two names for one object, keys in several places, and layers without it.
namespace caravan::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(HfConfig, LayersWithoutRopeAreThoseMarkedZero) {
  EXPECT_THAT(layers_of(with({{"no_rope_layers", {1, 0, 1, 1, 0, 1, 1, 1}}}), "nope_layers"),
              ElementsAre(1, 4));
  EXPECT_THAT(
      layers_of(with({{"no_rope_layers", {true, false, true, true, true, true, true, true}}}), "nope_layers"),
      ElementsAre(1));
}

TEST(HfConfig, NullAndEmptyListsOfRopeMeanTheInterval) {
  for (const json& list : {json(nullptr), json::array()}) {
    EXPECT_THAT(layers_of(with({{"no_rope_layers", list}}), "nope_layers"), ElementsAre(3, 7));
  }
  EXPECT_THAT(layers_of(with({{"no_rope_layer_interval", 3}}), "nope_layers"), ElementsAre(2, 5));
  const HfConfig other = with({{"no_rope_layers", {1, 0, 1, 1, 1, 1, 1, 1}}, {"no_rope_layer_interval", 4}});
  EXPECT_THAT(layers_of(other, "nope_layers"), ElementsAre(1));
  EXPECT_THAT(other.warnings,
              ElementsAre(HasSubstr("no_rope_layers and no_rope_layer_interval name other layers")));
  EXPECT_THAT(refusal({{"no_rope_layers", {1, 1, 1, 1, 1, 1, 1, 1, 1}}}),
              HasSubstr("it has 9 entries for 8 layers"));
  EXPECT_THAT(refusal({{"no_rope_layers", {1, 1}}}),
              HasSubstr("no_rope_layers is a list (it has 2 entries for 8 layers)"));
}

TEST(HfConfig, RopeScalingStandsUnderEitherKey) {
  const json llama3 = {{"factor", 16.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 1.5},
                       {"original_max_position_embeddings", 8192}};
  json old = llama3, recent = llama3;
  old["type"] = "llama3";
  recent["rope_type"] = "llama3";
  recent["rope_theta"] = 10000.0;
  const Config a = with({{"rope_scaling", old}, {"rope_theta", 20000.0}}).model;
  const Config b = with({{"rope_parameters", recent}}).model;
  for (const Config& model : {a, b}) {
    EXPECT_EQ(model.at("rope_scaling").get_float("factor"), 16);
    EXPECT_EQ(model.at("rope_scaling").get_float("low"), 1);
    EXPECT_EQ(model.at("rope_scaling").get_float("high"), 1.5);
    EXPECT_EQ(model.at("rope_scaling").get_float("original"), 8192);
  }
  EXPECT_EQ(a.get_float("rope_theta"), 20000);
  EXPECT_EQ(b.get_float("rope_theta"), 10000);
  EXPECT_TRUE(with({{"rope_scaling", nullptr}}).model.at("rope_scaling").is_null());
  EXPECT_TRUE(with({{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5}}}})
                  .model.at("rope_scaling")
                  .is_null());
}

TEST(HfConfig, OtherRopesAreRefused) {
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}}}}),
              HasSubstr("rope_type is 'yarn' (only default and llama3)"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "llama3"}}}}),
              HasSubstr("rope_scaling lacks 'factor'"));
  for (const char* kind : {"full_attention", "chunked_attention"})
    EXPECT_THAT(refusal({{"rope_parameters", {{kind, {{"rope_type", "default"}}}}}}),
                HasSubstr("one rotation for all layers is needed"));
}

TEST(HfConfig, RopeKeysThatDisagreeGiveWhatTransformersGives) {
  const json plain = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
  const HfConfig both = with({{"rope_scaling", llama3()}, {"rope_parameters", plain}});
  EXPECT_EQ(both.model.at("rope_scaling").get_float("factor"), 8);
  EXPECT_EQ(both.model.get_float("rope_theta"), 500000) << "the theta of the other key is lost";
  EXPECT_THAT(both.warnings,
              ElementsAre(HasSubstr("rope_scaling and rope_parameters differ; rope_scaling counts")));
  EXPECT_THAT(with({{"rope_scaling", plain}, {"rope_parameters", plain}}).warnings, IsEmpty());
  const HfConfig empty = with({{"rope_scaling", json::object()}, {"rope_parameters", plain}});
  EXPECT_EQ(empty.model.get_float("rope_theta"), 10000);
  EXPECT_THAT(empty.warnings, IsEmpty());
}

TEST(HfConfig, ThetaInsideCountsBeforeThetaOutside) {
  const HfConfig config = with({{"rope_theta", 1.0}, {"rope_parameters", {{"rope_theta", 2.0}}}});
  EXPECT_EQ(config.model.get_float("rope_theta"), 2);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("rope_theta is 1 and rope_parameters.rope_theta is 2")));
  EXPECT_EQ(with({{"rope_theta", 1.0}, {"rope_scaling", llama3()}}).model.get_float("rope_theta"), 1);
}

TEST(HfConfig, TheLengthBeforeStretchingStandsInThreePlaces) {
  const auto original = [](const HfConfig& config) {
    return config.model.at("rope_scaling").get_float("original");
  };
  json without = llama3();
  without.erase("original_max_position_embeddings");
  EXPECT_EQ(original(with({{"rope_scaling", without}})), 131072);
  EXPECT_EQ(original(with({{"rope_scaling", without}, {"max_position_embeddings", 64}})), 64);
  const HfConfig outside = with({{"rope_scaling", llama3()}, {"original_max_position_embeddings", 32}});
  EXPECT_EQ(original(outside), 32);
  EXPECT_THAT(outside.warnings,
              ElementsAre(HasSubstr("original_max_position_embeddings is 32 and rope_scaling.")));
}

TEST(HfConfig, TheNewerNameOfTheTypeCounts) {
  const HfConfig config = with({{"rope_scaling", llama3({{"type", "default"}})}});
  EXPECT_FALSE(config.model.at("rope_scaling").is_null());
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("rope_type is 'llama3' and type is 'default'")));
  EXPECT_TRUE(with({{"rope_scaling", llama3({{"rope_type", "default"}, {"type", "llama3"}})}})
                  .model.at("rope_scaling")
                  .is_null());
}

TEST(HfConfig, PartsOfHeadsAreNotRotated) {
  EXPECT_THAT(
      with({{"rope_parameters", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}}}).warnings,
      ElementsAre(HasSubstr("partial_rotary_factor has no effect")));
  EXPECT_THAT(refusal({{"rope_scaling", llama3({{"partial_rotary_factor", 0.5}})}}),
              HasSubstr("whole heads are rotated"));
  EXPECT_THAT(refusal({{"rope_scaling", llama3({{"factor", 0}})}}), HasSubstr("a number above 0 is needed"));
}

TEST(HfConfig, AThetaThatCountsIsAboveZero) {
  EXPECT_THAT(refusal({{"rope_theta", 0}}),
              HasSubstr("c.json: rope_theta is 0 (a number above 0 is needed)"));
  EXPECT_THAT(refusal({{"rope_theta", 5.0}, {"rope_parameters", {{"rope_theta", -1}}}}),
              HasSubstr("rope_theta is -1 (a number above 0 is needed)"));
  const HfConfig unused = with({{"rope_theta", 0}, {"rope_parameters", {{"rope_theta", 5.0}}}});
  EXPECT_EQ(unused.model.get_float("rope_theta"), 5);
  EXPECT_THAT(unused.warnings, ElementsAre(HasSubstr("rope_theta is 0 and rope_parameters.rope_theta is 5")));
}

}  // namespace
}  // namespace caravan::test
