#include <gtest/gtest.h>

#include "io/text/load_tokenizer.hpp"
#include "tests/text/reference.hpp"

// Added tokens of a tokenizer.json, against the tokenizers library 0.23.
namespace caravan {
namespace {

struct Golden {
  const char* text;
  std::vector<std::int32_t> ids;
};

const Golden kGolden[] = {
    {"a\u3000<mask>[R]\u3000b", {65, 2000, 2001, 66}},
    {"a \u00a0\u2003<mask>x", {65, 2000, 88}},
    {"x[R]\u200b y", {88, 2001, 159, 223, 234, 283}},
    {"x[R]\u0085\u2028y", {88, 2001, 89}},
    {"x[R]\ufeffy", {88, 2001, 172, 120, 124, 89}},
    {"x\u180e<mask>", {88, 158, 255, 237, 2000}},
    {"[B]  [B] [R] <mask>", {2002, 2002, 2001, 2000}},
    {"a<mask> <mask>b", {65, 2000, 2000, 66}},
    {"    foo bar    foo", {2003, 2004, 2003, 2005}},
    {"\u4e2d\u6587\u5b57", {2006, 162, 256, 246}},
    {"a\x1c<mask>", {65, 217, 2000}},
    {"a\x0b\x0c<mask>", {65, 2000}},
    {"  [B]  ", {2002}},
    {"\u3000", {160, 223, 223}},
    {"foo\u3000[B]\u1680z", {2005, 2002, 90}},
    {"[R]    x", {2001, 2003, 88}},
    {"[R]     x", {2001, 2003, 221, 88}},
    {"x    <mask>", {88, 2003, 2000}},
};

TEST(AddedTokens, StripAnyUnicodeWhiteSpaceAndNothingElse) {
  CARAVAN_NEED_CASE(file, "tokenizer_strip.json");
  const auto tokenizer = io::load_tokenizer(file);
  for (const Golden& golden : kGolden)
    EXPECT_EQ(tokenizer->encode(golden.text, Special::recognise), golden.ids) << golden.text;
}

}  // namespace
}  // namespace caravan
