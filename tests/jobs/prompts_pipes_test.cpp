#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/jobs/job_test.hpp"
#include "tests/text/reference.hpp"

// `caravan generate` between pipes: readers that lag or go away, input that does not come, signals meanwhile.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class PromptsInPipes : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    if (reference_file("tiny_scout").empty()) GTEST_SKIP() << "no tiny_scout in CARAVAN_REFERENCE_DIR";
    std::ofstream prompts(file("prompts.jsonl"));
    for (int i = 0; i < 4000; ++i) prompts << "{\"prompt_ids\": [" << 1 + i % 7 << ", 2, 3]}\n";
  }
  /// A script that finds the command in "$@", the file of prompts in $PROMPTS and its own folder in $FOLDER.
  Outcome script(const std::string& text, const std::map<std::string, std::string>& more = {}) const {
    std::map<std::string, std::string> environment{{"PROMPTS", file("prompts.jsonl")},
                                                   {"FOLDER", folder_.path()},
                                                   {"MODEL", reference_file("tiny_scout")}};
    environment.insert(more.begin(), more.end());
    const std::string begin =
        "generate() { exec \"$CARAVAN_BINARY\" generate --model \"$MODEL\" --device host --ignore-eos "
        "\"$@\"; "
        "}\n";
    return run({{"-c", begin + text}, 0, environment, 60, "/bin/bash"});
  }
};

/// Bit 04000 of flags is O_NONBLOCK. The reader takes nothing until the program has been asked to leave.
constexpr const char* kLaggingReader = R"sh(
mkfifo "$FOLDER/lines" "$FOLDER/said"
{ while [ ! -e "$FOLDER/asked" ]; do sleep 0.05; done; sleep 0.5; exec cat > "$FOLDER/taken"; } < "$FOLDER/lines" &
reader=$!
cat < "$FOLDER/said" > "$FOLDER/messages" &
exec 3> "$FOLDER/lines" 4> "$FOLDER/said"
generate --prompts "$PROMPTS" --max-new-tokens 40 >&3 2>&4 &
program=$!
until grep -q "at a time" "$FOLDER/messages"; do sleep 0.05; done
until [ "$(sed -n 's/^wchar: //p' /proc/$program/io)" -gt 62000 ]; do sleep 0.05; done  # of 65,536 that a pipe holds
sleep 1.5
kill -$SIGNAL $program
sleep 0.2
touch "$FOLDER/asked"
wait $program
code=$?
for descriptor in 3 4; do
  flags=$(sed -n 's/^flags:[[:space:]]*//p' /proc/self/fdinfo/$descriptor)
  echo "$descriptor waits: $(( (0$flags & 04000) == 0 ))"
done
exec 3>&- 4>&-
wait $reader
exit $code
)sh";

TEST_F(PromptsInPipes, ALaggingReaderGetsWholeLinesOfAProgramThatIsAskedToLeave) {
  for (const char* signal : {"TERM", "INT", "USR1"}) {
    for (const char* name : {"lines", "said", "asked", "taken", "messages"})
      std::filesystem::remove(file(name));
    const Outcome outcome = script(std::string("set -m\n") + kLaggingReader, {{"SIGNAL", signal}});

    EXPECT_EQ(outcome.code, 75) << signal << ": " << outcome.err << slurp(file("messages"));
    EXPECT_EQ(outcome.out, "3 waits: 1\n4 waits: 1\n") << "for others that share the pipes";
    const std::string taken = slurp(file("taken"));
    EXPECT_GT(taken.size(), 65536u) << "more than a pipe holds";
    ASSERT_TRUE(taken.ends_with('\n'));
    std::istringstream lines(taken);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count)
      EXPECT_EQ(nlohmann::json::parse(line)["prompt"], count);
    EXPECT_LT(count, 4000u);
    EXPECT_THAT(slurp(file("messages")), HasSubstr("asked to leave: the lines that are there are whole"));
  }
}

TEST_F(PromptsInPipes, AReaderThatGoesAwayIsNoFailure) {
  const Outcome lines =
      script("(generate --prompts \"$PROMPTS\" --max-new-tokens 40) | head -n 1; exit ${PIPESTATUS[0]}");
  EXPECT_EQ(lines.code, 75) << lines.err;
  EXPECT_EQ(nlohmann::json::parse(lines.out)["prompt"], 0);
  EXPECT_THAT(lines.last_line(), HasSubstr("nobody reads standard output any more"));
}

/// As cat and yes do; and where SIGPIPE was ignored before the start, as the verbs that hear it.
TEST_F(PromptsInPipes, OneAnswerEndsWithItsReaderAsOtherProgramsDo) {
  const std::string answer = "generate --prompt-ids '1 2 3' --max-new-tokens 3000";
  const std::string to_head = " | head -c 8 > /dev/null; exit ${PIPESTATUS[0]}";
  const Outcome usual = script(
      "( unset -f generate; exec env --default-signal=PIPE \"$CARAVAN_BINARY\" generate "
      "--model \"$MODEL\" --device host --ignore-eos --prompt-ids '1 2 3' "
      "--max-new-tokens 3000 )" +
      to_head);
  EXPECT_EQ(usual.code, 128 + SIGPIPE) << usual.err;
  const Outcome ignored = script("( trap '' PIPE; " + answer + " )" + to_head);
  EXPECT_EQ(ignored.code, 75) << ignored.err;
  EXPECT_THAT(ignored.last_line(), HasSubstr("nobody reads standard output any more"));
}

TEST_F(PromptsInPipes, AreLeftWhileTheyDoNotCome) {
  const Outcome outcome = script(R"sh(
mkfifo "$FOLDER/nothing"
exec 5<> "$FOLDER/nothing"
generate --prompts - < "$FOLDER/nothing" &
program=$!
until [ -n "$(sed -n 's/^SigCgt:.*[4567cdef]...$/heard/p' /proc/$program/status)" ]; do sleep 0.05; done
sleep 1
kill -TERM $program
wait $program
)sh");
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("asked to leave by signal 15 (no prompt was answered yet)"));
}

TEST_F(PromptsInPipes, AreReadFromStandardInputAndNotFromAFifoByName) {
  const Outcome by_name = script("mkfifo \"$FOLDER/fifo\"; generate --prompts \"$FOLDER/fifo\"");
  EXPECT_EQ(by_name.code, 3) << by_name.err;
  EXPECT_THAT(by_name.err,
              HasSubstr("is a FIFO (only regular files are opened by name). `-` reads standard"));
  const Outcome read =
      script("head -n 2 \"$PROMPTS\" | (generate --prompts - --max-new-tokens 1); exit ${PIPESTATUS[1]}");
  EXPECT_EQ(read.code, 0) << read.err;
  EXPECT_EQ(std::count(read.out.begin(), read.out.end(), '\n'), 2);
}

}  // namespace
}  // namespace caravan::test
