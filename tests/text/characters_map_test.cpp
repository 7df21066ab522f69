#include "io/text/characters_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include "caravan/error.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan {
namespace {

using ::testing::HasSubstr;

/// With the library's usual normalizer, nmt_nfkc: a map of some 240 KB.
std::string trained_model() {
  const test::TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the quick brown fox " + std::to_string(i) + " jumps\n";
  test::spill(folder.file("text"), text);
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      "--input=" + folder.file("text") + " --model_prefix=" + folder.file("m") +
      " --vocab_size=40 --hard_vocab_limit=false --minloglevel=2");
  return status.ok() ? test::slurp(folder.file("m.model")) : status.ToString();
}

TEST(CharactersMap, OfARealModelIsSoundAndCutShortIsRefused) {
  std::string model = trained_model();
  ASSERT_GT(model.size(), 100'000u) << model;

  EXPECT_NO_THROW(io::check_characters_maps(model, "m"));

  model.resize(model.size() - 1000);
  EXPECT_THAT(test::message_of<IoError>([&] { io::check_characters_maps(model, "m"); }),
              HasSubstr("m: not a SentencePiece model that can be read (a field longer than the file)"));
}

}  // namespace
}  // namespace caravan
