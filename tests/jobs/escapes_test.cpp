#include <gmock/gmock.h>

#include "tests/jobs/screen.hpp"
#include "tests/jobs/small_run.hpp"
#include "tests/text/reference.hpp"

// Names from files reach logs and terminals in letters that neither obeys.
namespace caravan::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// Sets a title, goes up a line, and begins what would look like a message of our own.
constexpr const char* kHostile = "x\033]0;owned\a\033[1A\n12:00:00 error [rank 0] forged\r";
constexpr const char* kShown = "x\\u001b]0;owned\\u0007\\u001b[1A";

class Escapes : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (!IsSkipped()) small_ = &SmallRun::get();
  }
  /// The verb fails, says the hostile text, and neither steers nor forges.
  void expect_tame(const std::vector<std::string>& verb) const {
    const Outcome outcome = caravan(verb);
    EXPECT_NE(outcome.code, 0) << verb[0];
    EXPECT_THAT(outcome.err, HasSubstr(kShown)) << verb[0];
    EXPECT_THAT(outcome.err, Not(HasSubstr("\033"))) << verb[0];
    EXPECT_THAT(outcome.err, Not(HasSubstr("\n12:00:00 error"))) << verb[0];
    EXPECT_THAT(outcome.err, Not(HasSubstr("\r"))) << verb[0];
  }
  static std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }
  const SmallRun* small_ = nullptr;
};

TEST_F(Escapes, NamesInErrorsNeitherSteerNorForge) {
  const std::string hostile = kHostile;
  spill(file("job.yaml"), std::string(kMiniJob) + quoted(hostile) + ": 1\n");
  expect_tame({"train", file("job.yaml")});
  fs::create_directory(file("model"));
  spill(file("model/config.json"), nlohmann::json{{"model_type", hostile}}.dump());
  expect_tame({"forward", "--model", file("model"), "--inputs", "x", "--outputs", file("y")});
  expect_tame({"inspect", file(hostile)});
  expect_tame({"schedule", hostile, "--ranks", "2"});
  expect_tame({"plugins", "describe", hostile});
  expect_tame({hostile});
  expect_tame({"train", "job.yaml", "--" + hostile});
}

TEST_F(Escapes, NamesInAnIndexNeitherSteerNorForge) {
  CARAVAN_NEED_REFERENCE(reference, "tiny_scout");
  fs::copy(reference, file("model"));
  fs::remove(file("model/model.safetensors"));  // or the index would not be read
  spill(file("model/model.safetensors.index.json"),
        nlohmann::json{{"weight_map", {{"a", std::string("../") + kHostile}}}}.dump());
  expect_tame({"forward", "--model", file("model"), "--inputs", small_->inputs(), "--outputs", file("y")});
}

TEST_F(Escapes, DecodedTextIsPrintableOnATerminalAndItselfElsewhere) {
  const std::string text = "a\033]0;owned\ab\n";
  const std::string encoded = caravan({"tokenizer", "encode", "--tokenizer", small_->tokenizer(), text}).out;
  std::vector<std::string> decode{"tokenizer", "decode", "--tokenizer", small_->tokenizer()};
  std::istringstream ids(encoded);
  for (std::string id; ids >> id;) decode.push_back(id);

  EXPECT_EQ(caravan(decode).out, text);
  EXPECT_EQ(on_terminal(decode, 50).text, "a\\u001b]0;owned\\u0007b\r\n") << "the terminal adds \\r";
}

TEST_F(Escapes, GeneratedTextIsPrintableOnATerminal) {
  const std::vector<std::string> generate{"generate", "--model", small_->run(),      "--device", "host",
                                          "--prompt", "\033[2J", "--max-new-tokens", "1"};
  EXPECT_THAT(caravan(generate).out, HasSubstr("\033[2J"));
  const std::string screen = on_terminal(generate, 50).text;
  EXPECT_THAT(screen, HasSubstr("\\u001b[2J"));
  EXPECT_THAT(screen, Not(HasSubstr("\033[2J")));
}

}  // namespace
}  // namespace caravan::test
