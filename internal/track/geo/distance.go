package geo

import "math"

// earth is the mean radius of the earth in km.
const earth = 6371.0

// Distance is the length in km of the shortest way between two places that
// surely lies between them: along the great circle, less what either may be off.
// It is 0 where a place has no point.
func Distance(a, b Place) float64 {
	if !a.Point || !b.Point {
		return 0
	}
	lat1, lat2 := a.Lat*math.Pi/180, b.Lat*math.Pi/180
	dLat, dLon := lat2-lat1, (b.Lon-a.Lon)*math.Pi/180
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1)*math.Cos(lat2)*math.Pow(math.Sin(dLon/2), 2)
	return max(0, 2*earth*math.Asin(math.Sqrt(min(1, h)))-a.Radius-b.Radius)
}
