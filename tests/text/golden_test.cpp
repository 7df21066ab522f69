#include <gtest/gtest.h>

#include <algorithm>

#include "io/text/load_tokenizer.hpp"
#include "tests/text/reference.hpp"

namespace caravan {
namespace {

struct Golden {
  const char* text;
  std::vector<std::int32_t> ids;
};

// Made with another implementation of tiktoken on the released tokenizer.model; no BOS.
const Golden kGolden[] = {
    {"I love to", {53, 7123, 328}},
    {"Hello, world!", {19873, 24, 3817, 13}},
    {"Once upon a time", {21959, 9627, 262, 1232}},
    {"The quick brown fox jumps over the lazy dog.",
     {954, 7202, 27756, 92637, 67072, 1278, 290, 37463, 10877, 26}},
    {"  leading and   multiple   spaces  ", {220, 10855, 341, 256, 6146, 256, 15174, 256}},
    {"tabs\tand\nnewlines\r\n\r\nend", {69584, 103956, 198, 1590, 12073, 57966, 431}},
    {"I'm can't WE'LL they'VE it'S", {23752, 12337, 39986, 19, 10962, 1451, 19, 20221, 536, 36812}},
    {"CamelCaseHTTPServer iPhone15Pro", {160473, 7508, 19117, 7317, 597, 8121, 859, 1037}},
    {"1234567 3.14159 2024-12-31",
     {7235, 19596, 35, 220, 31, 26, 13944, 3933, 220, 837, 32, 25, 738, 25, 2330}},
    {"naïve café Ünïcödé straße", {1499, 164301, 49652, 11563, 90, 14323, 79, 20003, 397, 8020, 15746}},
    {"日本語のテキストと中文", {21764, 16728, 1169, 169866, 2202, 54350}},
    {"안녕하세요 세계", {7072, 183317, 31318}},
    {"привет мир", {4708, 3524, 33701}},
    {"مرحبا بالعالم", {17224, 2307, 57896, 12996, 35935, 850}},
    {"नमस्ते दुनिया", {1479, 2511, 23194, 790, 106801}},
    {"🙂🚀👩‍👩‍👧",
     {5796, 247, 224, 114590, 222, 65906, 115, 12817, 65906, 115, 12817, 65906, 113}},
    {"int main() { return 0; } // comment/\n", {490, 3081, 504, 367, 677, 220, 28, 39, 404, 648, 7146, 4716}},
    {"\n\n", {368}},
    {"   ", {277}},
    {"\t\t\n  x", {4615, 220, 831}},
    {"user", {1556}},
    {"assistant", {140680}},
    {"system", {15651}},
    {"ipython", {607, 6934}},
    {"https://example.com/path?x=1", {2271, 1050, 15860, 1127, 101692, 43, 100, 41, 29}},
    {"e\u0301 combining", {81, 7908, 38108}},
};

class Llama4 : public testing::Test {
 protected:
  void SetUp() override {
    const std::string file = test::reference_file("tokenizers/llama4.tokenizer.model");
    if (file.empty()) GTEST_SKIP() << "no Llama 4 tokenizer in CARAVAN_REFERENCE_DIR";
    tokenizer_ = io::load_tokenizer(file);
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(Llama4, GivesTheGoldenIds) {
  for (const Golden& golden : kGolden)
    EXPECT_EQ(tokenizer_->encode(golden.text, Special::as_text), golden.ids) << golden.text;
}

TEST_F(Llama4, PlacesSpecialTokensByRule) {
  EXPECT_EQ(tokenizer_->vocab_size(), 202048);
  EXPECT_EQ(tokenizer_->bos(), 200000);
  EXPECT_EQ(tokenizer_->eos(), 200001);
  const std::pair<const char*, std::int32_t> places[] = {
      {"<|fim_suffix|>", 200004},
      {"<|eot|>", 200008},
      {"<|text_post_train_reserved_special_token_5|>", 200015},
      {"<|python_start|>", 200016},
      {"<|finetune_right_pad|>", 200018},
      {"<|text_post_train_reserved_special_token_68|>", 200079},
      {"<|image_start|>", 200080},
      {"<|tile_y_separator|>", 200085},
      {"<|image|>", 200090},
      {"<|patch|>", 200092},
      {"<|vision_reserved_special_token_1047|>", 201133},
      {"<|reasoning_reserved_special_token_7|>", 201141},
      {"<|reasoning_thinking_end|>", 201143},
      {"<|reserved_special_token_903|>", 202047},
  };
  for (const auto& [name, id] : places) {
    EXPECT_EQ(tokenizer_->special_id(name), id) << name;
    EXPECT_EQ(tokenizer_->name_of(id), name);
  }
}

TEST_F(Llama4, RecognisesSpecialTokensOnlyWhenAsked) {
  const std::string chat =
      "<|begin_of_text|><|header_start|>user<|header_end|>\n\nHello, world!<|eot|><|header_start|>assistant"
      "<|header_end|>\n\n";
  const std::vector<std::int32_t> ids{200000, 200005, 1556,   200006, 368,    19873,  24,
                                      3817,   13,     200008, 200005, 140680, 200006, 368};

  EXPECT_EQ(tokenizer_->encode(chat, Special::recognise), ids);
  EXPECT_EQ(tokenizer_->decode(ids), chat);
  const auto plain = tokenizer_->encode(chat, Special::as_text);
  EXPECT_TRUE(std::ranges::all_of(plain, [](std::int32_t id) { return id < 200000; }));
  EXPECT_EQ(tokenizer_->decode(plain), chat);
}

TEST_F(Llama4, EncodesHundredThousandEqualCharactersInTime) {
  for (const char* unit : {"a", "A", " ", "-", "é", "\n", "\xFF"}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += unit;
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text, Special::as_text)), text) << unit;
  }
}

}  // namespace
}  // namespace caravan
