#include "caravan/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using testing::message_of;

constexpr caravan_param kParams[] = {
    {"steps", "int", nullptr, "steps", "> 0", "How long to train."},
    {"lr", "float", "3e-4", "", "(0, 1)", "Step size."},
    {"betas", "float list", "[0.9, 0.95]", "", "[0, 1)", "Decay of the moments."},
    {"decay", "linear|sqrt|cosine", "linear", "", "", "Shape of the decay."},
    {"resume", "bool", "true", "", "", "Continue."},
    {"note", "string", "", "", "", "Free text."},
    {"clip", "float", "null", "", "> 0", "Largest norm."},
    {"extra", "map", "{}", "", "", "Anything."},
};

Config checked(const char* yaml) {
  return validate(Config::parse(yaml, "job.yaml"), kParams, "section train");
}

std::string refusal(const char* yaml) {
  return message_of<ConfigError>([&] { checked(yaml); });
}

TEST(Schema, FillsDefaultsInTheOrderOfTheSchema) {
  const Config out = checked("{lr: 0.1, steps: 5}");

  EXPECT_EQ(out, Config::parse(
                     "{steps: 5, lr: 0.1, betas: [0.9, 0.95], decay: linear, resume: true, note: '', clip: , "
                     "extra: {}}"));
  EXPECT_EQ(out.at("steps").where(), "job.yaml:1");
}

TEST(Schema, RefusesUnknownKeysWithTheNearest) {
  EXPECT_EQ(refusal("steps: 5\nstepz: 1"),
            "job.yaml:2: unknown key 'stepz' (no parameter of section train). Did you mean 'steps'?");
  EXPECT_EQ(refusal("steps: 5\nwonderful: 1"),
            "job.yaml:2: unknown key 'wonderful' (no parameter of section train). Known: steps, lr, betas, "
            "decay, resume, "
            "note, clip, extra");
  EXPECT_EQ(
      message_of<ConfigError>([] { validate(Config::parse("{a: {b: 1}}", "j").at("a"), {}, "layer norm"); }),
      "j:1: unknown key 'b' in a (no parameter of layer norm). It takes none.");
}

TEST(Schema, RefusesMissingKeysWithTheirMeaning) {
  EXPECT_EQ(refusal("lr: 0.1"),
            "job.yaml:1: key 'steps' is missing (section train needs it: How long to train.)");
}

TEST(Schema, RefusesNumbersThatFp32WouldMakeInfiniteOrZero) {
  const std::string why = " (must be 0 or between 1.2e-38 and 3.4e38, as fp32 has it)";
  EXPECT_EQ(refusal("{steps: 5, clip: 1e39}"), "job.yaml:1: clip=1e39" + why);
  EXPECT_EQ(refusal("{steps: 5, clip: 1e-39}"), "job.yaml:1: clip=1e-39" + why);
  EXPECT_EQ(refusal("{steps: 5, betas: [0, 1e-39]}"), "job.yaml:1: betas[1]=1e-39" + why);
  EXPECT_EQ(checked("{steps: 5, clip: 3e38, betas: [0, 0.5]}").get_float("clip"), 3e38);
}

TEST(Schema, RefusesWrongTypes) {
  EXPECT_EQ(refusal("steps: many"),
            "job.yaml:1: steps='many' (must be an integer such as 12: plain decimal digits, within 64 bits)");
  EXPECT_EQ(refusal("{steps: 1, resume: yes}"), "job.yaml:1: resume='yes' (must be true or false)");
  EXPECT_EQ(refusal("{steps: 1, betas: 0.9}"),
            "job.yaml:1: betas is a single value (must be a list of numbers such as [0.5, 1])");
  EXPECT_EQ(refusal("{steps: 1, decay: cosin}"),
            "job.yaml:1: decay='cosin' (must be one of: linear, sqrt, cosine). Did you mean 'cosine'?");
  EXPECT_EQ(refusal("{steps: 1, extra: 3}"), "job.yaml:1: extra is not a map (must be keys with values)");
  EXPECT_EQ(refusal("{steps: 1, lr: }"), "job.yaml:1: lr is empty (must be a number such as 0.5 or 3e-4)");
  EXPECT_EQ(refusal("[1]"), "job.yaml:1: the top level is not a map (section train takes keys with values)");
}

TEST(Schema, TakesAWordOrAMap) {
  const caravan_param kEither[] = {{"keep", "none|all or map", "none", "", "", "What stays."}};
  const auto refusal_of = [&](const char* yaml) {
    return message_of<ConfigError>([&] { validate(Config::parse(yaml, "job.yaml"), kEither, "section x"); });
  };
  EXPECT_NO_THROW(check_schema(kEither, "section x"));
  EXPECT_EQ(validate(Config::map(), kEither, "section x").get_string("keep"), "none");
  EXPECT_EQ(refusal_of("keep: all"), "");
  EXPECT_EQ(refusal_of("keep: {every: 2}"), "");
  EXPECT_EQ(refusal_of("keep: al"),
            "job.yaml:1: keep='al' (must be one of: none, all; or a map of keys). Did you mean 'all'?");
  EXPECT_THAT(refusal_of("keep: [all]"), ::testing::HasSubstr("keep"));
}

TEST(Schema, TakesAnIntegerOrAWord) {
  static constexpr caravan_param kOwn[] = {
      {"length", "int or frozen|free", "null", "steps", "[1, 10]", "A length."}};
  check_schema(kOwn, "test");
  const auto length = [](const char* yaml) {
    return validate(Config::parse(yaml), kOwn, "test").at("length");
  };
  EXPECT_EQ(length("length: 7").as_int(), 7);
  EXPECT_EQ(length("length: frozen").text(), "frozen");
  EXPECT_EQ(length("length: free").text(), "free");
  EXPECT_TRUE(length("{}").is_null());
  for (const char* bad : {"length: 11", "length: frozn", "length: 1.5", "length: [frozen]", "length: {a: 1}"})
    EXPECT_THROW(length(bad), ConfigError) << bad;
}

TEST(Schema, TakesNamesAndMapsInAList) {
  static constexpr caravan_param kOwn[] = {{"all", "string or map list", "[a]", "", "", "Some."}};
  check_schema(kOwn, "test");
  EXPECT_EQ(validate(Config::parse("{}"), kOwn, "test").at("all").items().size(), 1u);
  EXPECT_EQ(validate(Config::parse("all: [x, {name: y}]"), kOwn, "test").at("all").items().size(), 2u);
  for (const char* bad : {"all: [[x]]", "all: {name: x}", "all: x"})
    EXPECT_THROW(validate(Config::parse(bad), kOwn, "test"), ConfigError) << bad;
}

TEST(Schema, RefusesValuesOutOfRange) {
  EXPECT_EQ(refusal("steps: 0"), "job.yaml:1: steps=0 (must be > 0)");
  EXPECT_EQ(refusal("{steps: 1, lr: 1}"), "job.yaml:1: lr=1 (must be in (0, 1))");
  EXPECT_EQ(refusal("{steps: 1, betas: [0.5, 1]}"), "job.yaml:1: betas[1]=1 (must be in [0, 1))");
  EXPECT_EQ(refusal("{steps: 1, clip: -1}"), "job.yaml:1: clip=-1 (must be > 0)");
  EXPECT_EQ(refusal("{steps: 1, clip: null}"), "");
}

std::string fault(caravan_param param) {
  return message_of<ConfigError>([&] { check_schema({&param, 1}, "layer x"); });
}

TEST(Schema, ASoundSchemaPasses) {
  EXPECT_NO_THROW(check_schema(kParams, "section train"));
}

TEST(Schema, AnUnsoundSchemaIsNamed) {
  EXPECT_EQ(fault({"Bad Name", "int", "1", "", "", "d"}),
            "layer x has a parameter named 'Bad Name' (must be a-z, 0-9 and _)");
  EXPECT_THAT(fault({"a", "integer", "1", "", "", "d"}),
              ::testing::StartsWith("parameter 'a' of layer x has the type 'integer'"));
  EXPECT_THAT(fault({"a", "int or map", "1", "", "", "d"}),
              ::testing::StartsWith("parameter 'a' of layer x has the type 'int or map'"));
  EXPECT_THAT(fault({"a", "int", "1", "", "about 3", "d"}),
              ::testing::StartsWith("parameter 'a' of layer x has the range 'about 3'"));
  EXPECT_EQ(fault({"a", "int", "0", "", "> 0", "d"}),
            "parameter 'a' of layer x has a default that it would refuse: built in: a=0 (must be > 0)");
  EXPECT_EQ(fault({"a", "string", "b", "", "> 0", "d"}),
            "parameter 'a' of layer x has a range, but type string");
  EXPECT_EQ(fault({"a", "int", "1", "", "", ""}), "parameter 'a' of layer x has no sentence (doc)");
  EXPECT_EQ(fault({nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}),
            "layer x has a parameter named '' (must be a-z, 0-9 and _)");
  const caravan_param twice[] = {{"a", "int", "1", "", "", "d"}, {"a", "int", "1", "", "", "d"}};
  EXPECT_EQ(message_of<ConfigError>([&] { check_schema(twice, "layer x"); }),
            "layer x has two parameters named 'a'");
}

TEST(Schema, DescribesItselfAsATable) {
  const caravan_param params[] = {{"k", "a|b", "a", "", "", "Choice."},
                                  {"n", "int", nullptr, "tokens", "> 0", "Count."}};

  EXPECT_EQ(describe(params),
            "  name type default  unit   range meaning\n"
            "  k    a|b  a                     Choice.\n"
            "  n    int  required tokens > 0   Count.\n");
  EXPECT_EQ(describe(params, TableStyle::markdown),
            "| name | type | default | unit | range | meaning |\n|---|---|---|---|---|---|\n"
            "| k | a\\|b | a |  |  | Choice. |\n| n | int | required | tokens | > 0 | Count. |\n");
}

}  // namespace
}  // namespace caravan
