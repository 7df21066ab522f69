#include "jobs/inspect/names.hpp"

#include "caravan/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;
using jobs::NameFilter;

std::vector<jobs::TensorEntry> entries(const std::vector<std::string>& names) {
  std::vector<jobs::TensorEntry> list;
  for (const std::string& name : names) list.push_back({name, "f32", {2}, 8, io::NumberType::f32, ""});
  return list;
}

TEST(NaturalLess, ComparesDigitsAsNumbers) {
  std::vector<std::string> names = {
      "l.10.a", "l.9.b", "l.9.a", "l.09.a", "l", "k.2", "l.100000000000000000000"};
  std::sort(names.begin(), names.end(), jobs::natural_less);
  EXPECT_EQ(names, (std::vector<std::string>{"k.2", "l", "l.09.a", "l.9.a", "l.9.b", "l.10.a",
                                             "l.100000000000000000000"}));
}

TEST(NaturalLess, IsAStrictOrder) {
  for (const char* name : {"", "a", "a1", "01", "1"}) EXPECT_FALSE(jobs::natural_less(name, name)) << name;
  EXPECT_TRUE(jobs::natural_less("01", "1") != jobs::natural_less("1", "01"));
}

TEST(NameFilter, ComparesWholePathsOnlyWhenAsked) {
  EXPECT_TRUE(NameFilter({"*.wq.*"}).matches("/model/layers.0.attention.wq.weight"));
  EXPECT_TRUE(NameFilter({"norm.weight"}).matches("/optimizer/exp_avg/norm.weight"));
  EXPECT_FALSE(NameFilter({"/model/*"}).matches("/optimizer/exp_avg/norm.weight"));
  EXPECT_TRUE(NameFilter({"x", "layers.[0-3].*"}).matches("/model/layers.2.norm"));
  EXPECT_TRUE(NameFilter({}).matches("/anything"));
}

TEST(NameFilter, WithoutPatternsAViewOfValuesIsAboutTheModel) {
  const auto list = entries({"/model/a", "/optimizer/m/a", "/state/b"});
  EXPECT_EQ(jobs::choose_of_model(NameFilter({}), list).size(), 1u);
  EXPECT_EQ(jobs::choose_of_model(NameFilter({"a"}), list).size(), 2u);
  EXPECT_EQ(jobs::choose_of_model(NameFilter({}), entries({"/x", "/y"})).size(), 2u) << "a foreign file";
}

TEST(TensorNamed, TakesPathsAndNamesOfTheModel) {
  const auto list = entries({"/model/norm.weight", "/optimizer/m/norm.weight", "/x"});
  EXPECT_EQ(jobs::tensor_named("norm.weight", list).name, "/model/norm.weight");
  EXPECT_EQ(jobs::tensor_named("/optimizer/m/norm.weight", list).name, "/optimizer/m/norm.weight");
  EXPECT_EQ(jobs::tensor_named("x", list).name, "/x");
  EXPECT_EQ(message_of<ConfigError>([&] { jobs::tensor_named("norm.weigth", list); }),
            "there is no tensor norm.weigth. Did you mean norm.weight?");
}

}  // namespace
}  // namespace caravan::test
