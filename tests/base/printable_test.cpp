#include "caravan/printable.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/log.hpp"

// Nothing that comes from outside steers a terminal or passes for a log line.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Printable, EscapesWhatSteersATerminal) {
  EXPECT_EQ(printable("a\033[2J\x7f\xff"), "a\\u001b[2J\\u007f\\xff");
  EXPECT_EQ(printable("one\ntwo\r\t"), "one\\u000atwo\\u000d\\u0009");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\u009b31m")
      << "C1: a control sequence introducer in UTF-8";
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m")
      << "and as one byte";
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "txt.exe \xe2\x80\xa8"),
            "\\u202etxt.exe \\u2028");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\u0000b");
}

TEST(Printable, EscapesWhatIsNoUtf8AndKeepsEveryScript) {
  EXPECT_EQ(printable("Ünïcode, 日本語, 🦙"), "Ünïcode, 日本語, 🦙");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(printable("\xc0\xaf|\xe6\x97"), "\\xc0\\xaf|\\xe6\\x97") << "overlong; cut off";
}

TEST(Printable, LinesKeepTheirEndsAndNothingElse) {
  EXPECT_EQ(printable("a\n\tb\033[1mc", TextKind::lines), "a\n\tb\\u001b[1mc");
}

TEST(Printable, StyledLinesKeepColoursAndNothingElse) {
  EXPECT_EQ(printable("\033[38;5;1mred\033[0m", TextKind::styled_lines), "\033[38;5;1mred\033[0m");
  EXPECT_EQ(printable("\033[2J\033[1;\033]0;title\a\033", TextKind::styled_lines),
            "\\u001b[2J\\u001b[1;\\u001b]0;title\\u0007\\u001b");
}

/// What `log_error` prints.
std::string logged(std::string_view text) {
  testing::internal::CaptureStderr();
  log_error(text);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, AMessageCannotForgeAnother) {
  const std::string text = logged("cannot read x\n12:00:00 error all is lost\r12:00:01 info fine\033[1A");
  EXPECT_THAT(text,
              HasSubstr("cannot read x\n  12:00:00 error all is lost\\u000d12:00:01 info fine\\u001b[1A\n"));
  EXPECT_THAT(text, Not(HasSubstr("\n12:")));
}

TEST(Log, ContextLinesStayAsTheyAre) {
  EXPECT_THAT(logged("no\n  in layers.3\n  in step 17"),
              HasSubstr("error no\n  in layers.3\n  in step 17\n"));
}

}  // namespace
}  // namespace caravan::test
