# A trace's live bytes and the segments that held them, over its operations; below, the ratio.
# Each point is the highest of a thousandth of the trace.
#
# => trace, in, out: text; dlmalloc: its high-water mark / peak of live bytes, 0: not known
# => in: operation, live bytes, bytes of the segment of three builds: 64-bit with NO_VOID,
#    64-bit with voids, 32-bit with NO_VOID
MIB = 1024.0 * 1024
set terminal svg size 900,640 font 'sans,13' background 'white'
set output out
stats in using 2 nooutput
peak = STATS_max
stats in using 1 nooutput
last = STATS_max / 1000
set multiplot
set lmargin 9
set rmargin 3
set xrange [0:last]
set grid lc '#dddddd'
set tics nomirror out
set border 3

set size 1, 0.62
set origin 0, 0.38
set title sprintf('%s: what is live and what the heap takes for it', trace) noenhanced
set ylabel 'memory, MiB'
set yrange [0:*]
set key outside top center horizontal maxrows 2 samplen 2
set format x ''
plot in using ($1/1000):($2/MIB) with filledcurves x1 lc '#c8dcc0' title 'live bytes', \
     in using ($1/1000):($3/MIB) with steps lw 2 lc '#1b6b2f' title 'segment, 64-bit', \
     in using ($1/1000):($4/MIB) with steps lw 1.5 lc '#d9822b' \
         title 'segment, 64-bit with voids', \
     in using ($1/1000):($5/MIB) with steps lw 1.5 dt 4 lc '#3b6fb5' title 'segment, 32-bit', \
     (dlmalloc > 0 ? dlmalloc * peak / MIB : NaN) with lines dt 2 lw 1.5 lc '#555555' \
         title dlmalloc > 0 ? "dlmalloc's highest, 64-bit" : ''

set size 1, 0.38
set origin 0, 0
unset title
unset key
set format x '%.0f'
set xlabel 'operations, thousands'
set ylabel 'segment / live, to 2'
set yrange [1:2]
plot in using ($1/1000):($3/$2) with lines lw 2 lc '#1b6b2f', \
     in using ($1/1000):($4/$2) with lines lw 1.5 lc '#d9822b', \
     in using ($1/1000):($5/$2) with lines lw 1.5 dt 4 lc '#3b6fb5'
unset multiplot
