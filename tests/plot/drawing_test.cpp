#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "caravan/error.hpp"
#include "jobs/drawing/tone.hpp"
#include "jobs/plot/canvas.hpp"
#include "jobs/plot/csv.hpp"
#include "jobs/plot/svg_picture.hpp"
#include "jobs/plot/terminal_picture.hpp"
#include "tests/plot/recorded_run.hpp"

namespace caravan::test {
namespace {

using jobs::CanvasStyle;
using jobs::Curve;
using jobs::Picture;
using jobs::PictureOptions;
using jobs::RunRecords;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr CanvasStyle kAscii{false, false}, kDots{true, false}, kColours{true, true};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class Drawing : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::string& lines) {
    runs_.emplace_back(recorded_run(folder_.file(name), lines), RunRecords::Wait::no);
  }
  Picture picture(const PictureOptions& options = {}) const {
    return make_picture(runs_, options, RunRecords::Wait::no);
  }
  TemporaryFolder folder_;
  std::vector<RunRecords> runs_;
};

TEST(Canvas, DrawsDotsOfBraille) {
  jobs::Canvas canvas(2, 1);
  canvas.line(0, 0, 3, 3, 0);
  EXPECT_EQ(canvas.row(0, kDots, ""), "⠑⢄");
  canvas.mark(3, 0, 'V', 0);
  EXPECT_EQ(canvas.row(0, kDots, ""), "⠑V");
  EXPECT_EQ(canvas.row(0, kDots, "*"), "*V");
  canvas.line(-50, 1e9, 50, 1e9, 0);
  EXPECT_EQ(canvas.row(0, kDots, "*"), "*V") << "nothing outside";
}

TEST(Canvas, ColoursStretches) {
  jobs::Canvas canvas(5, 1);
  canvas.line(0, 0, 3, 0, 0);
  canvas.line(6, 0, 9, 0, 1);
  EXPECT_EQ(canvas.row(0, kColours, ""), "\033[38;5;68m⠉⠉\033[0m \033[38;5;172m⠉⠉\033[0m");
}

TEST_F(Drawing, OfOneRunIsALineFromTheFirstStepToTheLast) {
  add("run", step_line(0, "4") + step_line(10, "0"));
  EXPECT_EQ(draw_text(picture(), {24, 9}, kAscii),
            "loss, nats a token, by s\n"
            "4 +****\n"
            "  |    *****\n"
            "2 +        *****\n"
            "  |            *****\n"
            "0 +                 ****\n"
            "  ++---------+---------+\n"
            "   0         5        10\n"
            "a run: loss 0 at step 10\n");
}

TEST_F(Drawing, TakesNoMoreThanItsColumns) {
  add("a-run-with-a-rather-long-name", falling_losses(40));
  add("b", falling_losses(30));
  for (const CanvasStyle& style : {kAscii, kDots}) {
    const auto lines = lines_of(draw_text(picture(), {40, 20}, style));
    for (const std::string& line : lines) EXPECT_LE(jobs::display_width(line), 40u) << line;
  }
  EXPECT_EQ(lines_of(draw_text(picture(), {80, 20}, kDots)).size(), 20u);
}

TEST_F(Drawing, OfSeveralRunsHasALetterOrAColourEach) {
  add("one", falling_losses(40));
  add("two", falling_losses(25));
  const std::string plain = draw_text(picture(), {80, 20}, kDots);
  EXPECT_THAT(plain, HasSubstr("aaa"));
  EXPECT_THAT(plain, HasSubstr("bb"));
  EXPECT_THAT(plain, HasSubstr("A"));
  EXPECT_THAT(plain, HasSubstr("\na one: loss 4, validation loss 4.1 at step 40\nb two: "));
  EXPECT_THAT(plain, Not(HasSubstr("\033")));
  const std::string coloured = draw_text(picture(), {80, 20}, kColours);
  EXPECT_THAT(coloured, HasSubstr("\033[38;5;68ma\033[0m one"));
  EXPECT_THAT(coloured, HasSubstr("\033[38;5;172mb\033[0m two"));
  const std::string b = "b\033[0m";
  EXPECT_NE(coloured.find(b), coloured.rfind(b)) << "at the end of its curve, and in the legend";
  EXPECT_THAT(coloured, Not(HasSubstr("aaa")));
}

TEST_F(Drawing, ShowsTheLossBetweenMarksHoweverOftenItIsValidated) {
  std::string lines;
  for (int step = 1; step <= 200; ++step) lines += step_line(step, "4", ", \"validation_loss\": 4");
  add("run", lines);
  const std::string text = draw_text(picture(), {80, 20}, kAscii);
  EXPECT_THAT(text, HasSubstr("***A***A***A\n"));
  EXPECT_THAT(text, Not(HasSubstr("AA")));
}

TEST_F(Drawing, LeavesGapsAndSaysSo) {
  add("run", step_line(1, "4") + step_line(2, "null") + step_line(3, "null") + step_line(4, "3"));
  const Picture drawn = picture();
  EXPECT_THAT(drawn.notes, ElementsAre("run: loss not finite in 2 steps (gaps)"));
  EXPECT_THAT(draw_text(drawn, {80, 20}, kDots), HasSubstr("- run: loss not finite in 2 steps (gaps)\n"));
  const std::string svg = draw_svg(drawn);
  const auto path = svg.find("<path d=\"M", svg.find("</text>\n<path d=\"M", svg.find(">step<")));
  EXPECT_THAT(svg, HasSubstr("not finite in 2 steps"));
  EXPECT_NE(path, std::string::npos);
  EXPECT_THAT(draw_csv(drawn), HasSubstr("run,2,nan\n"));
}

TEST_F(Drawing, OnALogarithmicAxisLeavesOutWhatIsNotAboveZero) {
  PictureOptions options;
  options.is_logarithmic = true;
  add("run", step_line(1, "0") + step_line(2, "10") + step_line(3, "1000"));
  const Picture drawn = picture(options);
  EXPECT_THAT(drawn.notes, ElementsAre(HasSubstr("loss not above 0 in 1 step ")));
  EXPECT_THAT(draw_text(drawn, {80, 20}, kAscii),
              HasSubstr("loss, nats a token, logarithmic, by step\n1000 +"));
}

TEST_F(Drawing, OfNothingIsRefused) {
  add("run", step_line(1, "4"));
  PictureOptions options;
  options.what = {Curve::validation_loss};
  EXPECT_THAT(message_of<IoError>([&] { picture(options); }), HasSubstr("no validation loss in run"));
  options.what = {};
  options.from = 5;
  EXPECT_THAT(message_of<ConfigError>([&] { picture(options); }),
              HasSubstr("no step from 5 on (the runs have 1 to 1)"));
}

TEST_F(Drawing, OfTheBalanceOfRanksSaysThatItIsThat) {
  add("run", step_line(1, "4", ", \"expert_rank_imbalance\": 1.25"));
  PictureOptions options;
  options.what = {Curve::expert_imbalance};
  EXPECT_THAT(picture(options).notes, ElementsAre(HasSubstr("that of ranks")));
  EXPECT_THAT(draw_csv(picture(options)), HasSubstr("run,step,expert_rank_imbalance\nrun,1,1.25\n"));
}

TEST_F(Drawing, AsSvgEscapesNamesAndPutsPointsWhereTheyBelong) {
  add("<b>&\"", step_line(0, "4", ", \"validation_loss\": 2") + step_line(10, "0"));
  const std::string svg = draw_svg(picture());
  EXPECT_THAT(svg, HasSubstr("&lt;b>&amp;\""));
  EXPECT_THAT(svg, Not(HasSubstr("<b>")));
  // The panel is 812 by 240 points at (64, 92): the first step is in its upper left corner.
  EXPECT_THAT(svg, HasSubstr("<path d=\"M64.00 92.00L876.00 332.00\""));
  EXPECT_THAT(svg, HasSubstr("<circle cx=\"64.00\" cy=\"212.00\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

TEST_F(Drawing, AsSvgStaysSmall) {
  std::string lines;
  for (int step = 1; step <= 50000; ++step) lines += step_line(step, fmt::format("{}", step % 97));
  add("run", lines);
  EXPECT_LT(draw_svg(picture()).size(), 100000u);
}

TEST_F(Drawing, AsTableQuotesNamesAndLeavesAbsentValuesEmpty) {
  add("a,\"b", step_line(1, "4.5") + step_line(2, "4", ", \"validation_loss\": 4.25"));
  EXPECT_EQ(draw_csv(picture()),
            "run,step,loss,validation_loss\n"
            "\"a,\"\"b\",1,4.5,\n"
            "\"a,\"\"b\",2,4,4.25\n");
}

}  // namespace
}  // namespace caravan::test
