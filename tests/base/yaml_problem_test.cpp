#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "tests/support/message_of.hpp"

namespace caravan {
namespace {

using testing::message_of;

struct Case {
  std::string yaml, message;
};

void expect_refusals(const std::vector<Case>& cases) {
  for (const auto& [yaml, message] : cases)
    EXPECT_EQ(message_of<ConfigError>([&] { Config::parse(yaml, "job.yaml"); }), message) << yaml;
}

TEST(YamlProblem, TabsAreNamedWithTheirLine) {
  const std::string text = "a tab indents this line (YAML takes spaces only). Replace it by spaces?";
  expect_refusals({{"train:\n\tlr: 1\n", "job.yaml:2: " + text},
                   {"train:\n  lr: 1\n\tsteps: 2\n", "job.yaml:3: " + text},
                   {"\ttrain:\n  lr: 1\n", "job.yaml:1: " + text},
                   {"train:\n  \tlr: 1\n", "job.yaml:2: " + text},
                   {"train:\n  # comment\n\n\tlr: 1\n\tsteps: 2\n", "job.yaml:4: " + text}});
}

TEST(YamlProblem, BracketsAreNamedWhereTheyAreOpened) {
  expect_refusals({{"a: {b: 1\n", "job.yaml:1: '{' is never closed. Add '}'?"},
                   {"train: {lr: 1, steps: 2\nmodel:\n  preset: x\ndata: {source: y}\n",
                    "job.yaml:1: '{' is never closed. Add '}'?"},
                   {"x: 1\na: [1, 2\nb: 3\n", "job.yaml:2: '[' is never closed. Add ']'?"},
                   {"a: [1, 2, # c ]\nb: 3\n", "job.yaml:1: '[' is never closed. Add ']'?"},
                   {"a: {b: [1, 2}\n", "job.yaml:1: '}' cannot close the '[' of line 1. Write ']'?"},
                   {"a: {b: 1,\n    c: 2]\n", "job.yaml:2: ']' cannot close the '{' of line 1. Write '}'?"},
                   {"a: }\n", "job.yaml:1: '}' closes nothing. Remove it?"},
                   {"a: {b: 1}}\n", "job.yaml:1: '}' closes nothing. Remove it?"}});
}

TEST(YamlProblem, QuotesAreNamedWhereTheyAreOpened) {
  expect_refusals(
      {{"x: 1\na: 'x\nb: 2\n", "job.yaml:2: the quote ' is never closed. Add another?"},
       {"a: \"x\nb: 2\n", "job.yaml:1: the quote \" is never closed. Add another?"},
       {"a: {b: 'x}\n", "job.yaml:1: the quote ' is never closed. Add another?"},
       {"a: 'it's'\n",
        "job.yaml:1: 's'' stands behind a value that has ended. Put the whole value in quotes?"},
       {"a: \"b\" c\n",
        "job.yaml:1: 'c' stands behind a value that has ended. Put the whole value in quotes?"},
       {"a: \"x\\q\"\n",
        "job.yaml:1: unknown escape character: q (in double quotes a backslash begins an escape). Use "
        "single quotes?"}});
}

TEST(YamlProblem, IndentationIsComparedWithTheLinesAbove) {
  expect_refusals(
      {{"train:\n    lr: 1\n  steps: 2\n",
        "job.yaml:3: this line is indented by 2 (the lines above it by 0 or 4). Indent it like one of them?"},
       {"a:\n  b:\n    c: 1\n   d: 2\n",
        "job.yaml:4: this line is indented by 3 (the lines above it by 0, 2 or 4). Indent it like one of "
        "them?"},
       {"train:\n  lr: 1\n\n    steps: 2\n",
        "job.yaml:4: this line is indented by 4, deeper than line 2 (2), which has a value already. Indent "
        "both "
        "alike?"},
       {"a: \"x\"\n  y: 2\n",
        "job.yaml:2: this line is indented by 2, deeper than line 1 (0), which has a value already. Indent "
        "both "
        "alike?"},
       {" a: 1\nb: 2\n",
        "job.yaml:2: this line is indented by 0, less than the first (1). Indent both alike?"},
       {"a: 1\n- b\n", "job.yaml:2: a list entry stands among keys. Indent it below its key?"},
       {"- a\nb: 1\n", "job.yaml:2: a key stands among list entries. Is its indentation right?"}});
}

TEST(YamlProblem, ColonsThatLackOrAreTooManyAreNamed) {
  expect_refusals(
      {{"train:\n  lr:1\n  steps: 2\n", "job.yaml:2: 'lr:1' lacks a space behind the colon. Write 'lr: 1'?"},
       {"train:\n  lr 1\n  steps: 2\n", "job.yaml:2: 'lr 1' lacks a colon. Write 'key: value'?"},
       {"train\n  lr: 1\n", "job.yaml:1: 'train' lacks a colon. Write 'key: value'?"},
       {"a: 1\nb\n", "job.yaml:2: 'b' lacks a colon. Write 'key: value'?"},
       {"a: b: c\n",
        "job.yaml:1: 'a: b: c' has two colons with a space behind them. Put the value in quotes?"}});
}

TEST(YamlProblem, ValuesThatBeginWithWhatTheyCannotAreNamed) {
  expect_refusals(
      {{"a: @x\n", "job.yaml:1: a value cannot begin with '@'. Put it in quotes?"},
       {"a: %x\n", "job.yaml:1: a value cannot begin with '%'. Put it in quotes?"},
       {"a: - 1\n",
        "job.yaml:1: a list begins behind its key (its entries stand on lines of their own). Write it "
        "below, or as [a, b]?"}});
}

TEST(YamlProblem, OfAnAssignmentNamesIt) {
  Config tree = Config::map();

  EXPECT_EQ(message_of<ConfigError>([&] { tree.override_with("train={lr: 1"); }),
            "command line:1: '{' is never closed. Add '}'?");
}

TEST(YamlProblem, WhatIsRightIsNotRefused) {
  const std::vector<std::string> right = {"a: it's\n",           "a: x[1\nb: {c: 'd''e'}\n",
                                          "a: \"q\\\"r\"\n",     "a: |\n  'text\n  [\n  \t x\nb: 2\n",
                                          "a: >-\n  'x\nb: 1\n", "a: C:\\x\n",
                                          "a:\n- 1\n- 'b'\n",    "a: [1,\n\t2]\n",
                                          "a:\nb: 1\n",          "a: # 'c\n  b: 1\n",
                                          "a: b#'c\n",           "{a: 1, b}\n",
                                          "a: don't # {\n",      "'a: b': [c, \"]\"]\n",
                                          "? a\n: b\n",          "a: 1\r\nb: 'x'\r\n"};
  for (const std::string& yaml : right)
    EXPECT_EQ(message_of<ConfigError>([&] { Config::parse(yaml, "job.yaml"); }), "") << yaml;
}

}  // namespace
}  // namespace caravan
